"""One ranged request on its way, and the bytes of it that were not delivered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

_SEGMENT_BYTES = 64 << 10
"""Memory is given back in pieces of this size, as they are delivered."""
_PARK_SECONDS = 1.0
"""A body that nobody wants to go on for so long is closed: its connection is needed by others."""


class Fetch:
    """One ranged request on its way, and the bytes of it that were not delivered yet."""

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.allowed = start
        self.filled = start
        self.charged = start
        """How far the budget knows of it."""
        self.waiters = 0
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.segments: dict[int, bytearray] = {}
        self.delivered: dict[int, int] = {}
        self.freed = 0
        self.dropped = False
        self._changed = asyncio.Event()

    def allow(self, stop: int) -> None:
        if stop > self.allowed:
            self.allowed = min(stop, self.stop)
            self._notify()

    def fail(self, failure: BaseException) -> None:
        self.failure = failure
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_allowed(self) -> bool:
        """Wait until more is wanted; False when nobody wants more for a while."""
        while self.filled >= self.allowed:
            changed = self._changed
            try:
                async with asyncio.timeout(_PARK_SECONDS):
                    await changed.wait()
            except TimeoutError:
                return self.filled < self.allowed
        return True

    async def wait_filled(self, stop: int) -> None:
        while self.filled < stop:
            if self.failure is not None:
                raise self.failure
            await self._changed.wait()

    def put(self, piece: memoryview) -> None:
        """Append what arrived."""
        while piece:
            index, at = divmod(self.filled - self.start, _SEGMENT_BYTES)
            part = piece[: _SEGMENT_BYTES - at]
            if at == 0:
                self.segments[index] = bytearray(part)
            else:
                self.segments[index] += part
            self.filled += len(part)
            piece = piece[len(part) :]
        self._notify()

    def has(self, start: int, stop: int) -> bool:
        """Whether `[start, stop)` has been neither delivered already nor left out."""
        indices = range((start - self.start) // _SEGMENT_BYTES, (stop - 1 - self.start) // _SEGMENT_BYTES + 1)
        return all(index in self.segments for index in indices)

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes of `[start, stop)`. A segment of which as much was delivered as it has is freed."""
        while start < stop:
            index, at = divmod(start - self.start, _SEGMENT_BYTES)
            segment = self.segments[index]
            count = min(stop - start, len(segment) - at)
            yield memoryview(segment)[at : at + count]
            start += count
            self._count_delivered(index, count)

    def cut_off(self) -> None:
        """It will not go on: what it has is all that it is."""
        self.stop = self.filled
        for index in list(self.segments):
            self._count_delivered(index, 0)

    def _count_delivered(self, index: int, count: int) -> None:
        """Pipelined reads may be served in any order, so what counts is how much, not how far."""
        whole = min(_SEGMENT_BYTES, self.stop - self.start - index * _SEGMENT_BYTES)
        self.delivered[index] = self.delivered.get(index, 0) + count
        if self.delivered[index] >= whole and len(self.segments[index]) == whole:
            del self.segments[index]
            self.freed += whole

    @property
    def is_through(self) -> bool:
        return self.freed >= self.stop - self.start
