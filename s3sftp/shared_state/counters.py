"""Totals that replicas add to together, such as the bytes and files of a quota.

Each addition is one UpdateItem with ADD, which DynamoDB carries out in one step, so no addition is lost when
several replicas add at once. A total may be replaced after a count of what is really there, unless somebody
has added meanwhile.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from s3sftp.shared_state.table import Item, Only, Sets, SharedTable

COUNTERS = "counters"
"""The partition key of all counters."""
_RESERVED = frozenset({"pk", "sk", "expires", "token"})


class ReplicaCounters(Protocol):
    """Totals by scope, such as a mount, and by name, such as `bytes`. All methods raise
    `auth.sources.asking.SourceFailed` if nobody knows the totals now; `add` may have added nevertheless."""

    async def totals(self, scope: str) -> Mapping[str, int] | None:
        """The present totals; None if nobody has added anything yet."""

    async def add(self, scope: str, amounts: Mapping[str, int]) -> Mapping[str, int]:
        """Add to totals, which begin at 0, and return all totals of the scope. Amounts and totals may be
        negative."""

    async def set_if(self, scope: str, totals: Mapping[str, int], expected: Mapping[str, int]) -> bool:
        """Replace totals if those named in `expected` have these values. Returns whether they had."""


class TableCounters(ReplicaCounters):
    """Totals in the table. A scope that nobody adds to for `kept_seconds` is forgotten."""

    def __init__(
        self, table: SharedTable, kept_seconds: float, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._kept_seconds = kept_seconds
        self._now = wall_clock

    async def totals(self, scope: str) -> Mapping[str, int] | None:
        item = await self._table.get(COUNTERS, scope)
        return None if item is None else _totals(item)

    async def add(self, scope: str, amounts: Mapping[str, int]) -> Mapping[str, int]:
        token = secrets.token_hex(8)
        # a request that is repeated because its answer was lost finds its own token, and does not add twice,
        # unless another replica has added in between
        only = Only("attribute_not_exists(#token) OR #token <> :token", {})
        sets: Sets = {"token": token, "expires": self._expires()}
        item = await self._table.update(COUNTERS, scope, sets, _checked(amounts), only)
        if item is None:
            item = await self._table.get(COUNTERS, scope)
        return _totals(item or {})

    async def set_if(self, scope: str, totals: Mapping[str, int], expected: Mapping[str, int]) -> bool:
        given = {name: int(value) for name, value in _checked(totals).items()}
        # a total that is 0 may never have been written
        conditions = [
            f"(#{name} = :was_{name} OR attribute_not_exists(#{name}))"
            if value == 0
            else f"#{name} = :was_{name}"
            for name, value in _checked(expected).items()
        ]
        token = secrets.token_hex(8)
        only = Only(
            f"#token = :token OR {' AND '.join(conditions)}",  # AND binds stronger
            {f"was_{name}": value for name, value in expected.items()},
        )
        sets: Sets = {**given, "token": token, "expires": self._expires()}
        return await self._table.update(COUNTERS, scope, sets, only=only) is not None

    def _expires(self) -> int:
        return int(self._now() + self._kept_seconds)


def _totals(item: Item) -> dict[str, int]:
    return {name: int(value) for name, value in item.items() if name not in _RESERVED}


def _checked(totals: Mapping[str, int]) -> Mapping[str, int]:
    """Raises ValueError: if there are none, or a name is no word, or one of the item's own attributes."""
    bad = [name for name in totals if not name.isidentifier() or name in _RESERVED]
    if bad or not totals:
        raise ValueError(f"{bad or 'nothing'}: should be names of totals")
    return totals
