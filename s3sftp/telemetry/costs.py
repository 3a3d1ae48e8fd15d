"""Counts the storage requests that an operation causes, and what they cost.

Code that starts an accountable operation opens an account with `charging`; each storage request made below it
calls `charge`. Accounts nest: a request is charged both to its READ and to its transfer. Tasks created inside
inherit the accounts, as they inherit every context variable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from opentelemetry.context import Context

# dollars per request: S3 Standard, us-east-1, list prices, without transfer and storage
_WRITE = 0.005 / 1000
_READ = 0.0004 / 1000
_FREE = 0.0

_PRICES = {
    "GetObject": _READ,
    "HeadObject": _READ,
    "HeadBucket": _READ,
    "GetObjectTagging": _READ,
    "DeleteObject": _FREE,
    "DeleteObjects": _FREE,
    "AbortMultipartUpload": _FREE,
}


@dataclass(slots=True)
class Costs:
    """An account: requests by S3 API name (`GetObject`, `UploadPart`, …), and attempts beyond the first."""

    requests: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    retries: int = 0
    owner: Costs | None = None
    """The account of the user, which is charged once for a request, however many accounts it owns."""
    transfer: Context | None = None
    """The context of the span of the transfer whose account it is; None for other accounts, and while tracing
    is off."""

    def total(self) -> int:
        return sum(self.requests.values())


_accounts: ContextVar[tuple[Costs, ...]] = ContextVar("s3sftp_costs", default=())


def charge(api: str, *, retry: bool = False) -> None:
    """Count one request to the storage on every open account."""
    owner: Costs | None = None
    for costs in _accounts.get():
        costs.requests[api] += 1
        costs.retries += retry
        owner = costs.owner or owner
    if owner is not None:  # all that are open at once belong to one user
        owner.requests[api] += 1
        owner.retries += retry


def current_transfer() -> Context | None:
    """That of the innermost transfer that is charged here; None while tracing is off."""
    for costs in reversed(_accounts.get()):
        if costs.transfer is not None:
            return costs.transfer
    return None


class charging:
    """Charge every storage request inside the block to `costs` too."""

    __slots__ = ("_costs", "_token")

    def __init__(self, costs: Costs) -> None:
        self._costs = costs

    def __enter__(self) -> Costs:
        self._token = _accounts.set((*_accounts.get(), self._costs))
        return self._costs

    def __exit__(self, *_: object) -> None:
        _accounts.reset(self._token)


def dollars(requests: Mapping[str, int]) -> float:
    """The price in dollars of requests by API. An API that is not known to be cheaper costs as much as PUT,
    COPY, POST and LIST."""
    return sum(count * _PRICES.get(api, _WRITE) for api, count in requests.items())
