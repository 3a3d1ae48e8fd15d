"""Counts the storage requests that an operation causes.

Code that starts an accountable operation opens an account with `charging`; each storage request made below it
calls `charge`. Accounts nest: a request is charged both to its READ and to its transfer. Tasks created inside
inherit the accounts, as they inherit every context variable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Costs:
    """An account: requests by S3 API name (`GetObject`, `UploadPart`, …), and attempts beyond the first."""

    requests: Counter[str] = field(default_factory=Counter)
    retries: int = 0

    def total(self) -> int:
        return sum(self.requests.values())


_accounts: ContextVar[tuple[Costs, ...]] = ContextVar("s3sftp_costs", default=())


def charge(api: str, *, retry: bool = False) -> None:
    """Count one request to the storage on every open account."""
    for costs in _accounts.get():
        costs.requests[api] += 1
        costs.retries += retry


@contextmanager
def charging(costs: Costs) -> Iterator[Costs]:
    """Charge every storage request inside the block to `costs` too."""
    token = _accounts.set((*_accounts.get(), costs))
    try:
        yield costs
    finally:
        _accounts.reset(token)
