"""A table in memory, with what replicas use of DynamoDB for quotas. It fails on command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from s3sftp.auth.sources.asking import SourceFailed

Item = Mapping[str, Any]


def no_answer() -> SourceFailed:
    return SourceFailed("no answer", "no_answer", is_down=True)


@dataclass
class MemoryItems:
    """The items that all replicas see."""

    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def replace(self, key: tuple[str, str], sets: Mapping[str, Any], condition: str, values: Item) -> bool:
        """One conditional write."""
        version = self.items.get(key, {}).get("version")
        allowed = {sets["version"]}
        if "#version = :seen" in condition:
            allowed.add(values["seen"])
        elif "attribute_not_exists(#version)" in condition:
            allowed.add(None)
        else:
            raise AssertionError(f"a condition that DynamoDB knows and this table does not: {condition}")
        if version not in allowed:
            return False
        self.items.setdefault(key, {}).update(sets)
        return True


class MemoryTable:
    """One process's way to the items. `weather` is awaited before and after each request: it may wait, and it
    may raise, so that a request is lost, or its answer. `late` has the lost writes, which may still arrive.
    `repeats` says whether the answer of a write is lost, so that the client repeats the write."""

    place = "table in memory"

    def __init__(
        self,
        items: MemoryItems,
        weather: Callable[[str], Awaitable[None]] | None = None,
        repeats: Callable[[], bool] = lambda: False,
    ) -> None:
        self.items = items
        self.weather = weather
        self._repeats = repeats
        self.reads = 0
        self.writes = 0
        self.late: list[Callable[[], object]] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def _passes(self, what: str) -> None:
        await asyncio.sleep(0)
        if self.weather is not None:
            await self.weather(what)

    async def get(self, pk: str, sk: str) -> Item | None:
        self.reads += 1
        await self._passes("get")
        found = self.items.items.get((pk, sk))
        copied = dict(found) if found is not None else None
        await self._passes("answer")
        return copied

    async def update(
        self, pk: str, sk: str, sets: Item, adds: Item | None = None, only: Any = None
    ) -> Item | None:
        assert adds is None
        self.writes += 1

        def write() -> bool:
            return self.items.replace((pk, sk), sets, only.condition, only.values)

        try:
            await self._passes("update")
        except SourceFailed:
            self.late.append(write)
            raise
        done = write()
        if self._repeats():
            await self._passes("answer")
            done = write()
        written = dict(self.items.items.get((pk, sk), {}))
        await self._passes("answer")
        return written if done else None
