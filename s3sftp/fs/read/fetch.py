"""One ranged request on its way, and the bytes of it that were not delivered yet."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from s3sftp.backends.contract import Buffer

_SHORT_BYTES = 16 << 10
"""Pieces are put together up to this size: a body that trickles must not cost an object for each byte."""
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
        self.needed = 0
        """How many of these bytes are charged as needed, not as read ahead."""
        self.waiters = 0
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.pieces: dict[int, memoryview] = {}
        """What arrived and was not delivered, by its offset in the file."""
        self._starts: list[int] = []
        self._delivered: dict[int, int] = {}
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
        while not self.has_filled(stop):
            await self._changed.wait()

    def has_filled(self, stop: int) -> bool:
        """Whether all up to `stop` has come. Raises its failure, if it will not."""
        if self.filled >= stop:
            return True
        if self.failure is not None:
            raise self.failure
        return False

    def put(self, piece: Buffer) -> None:
        """Append what arrived, and will not be changed; a short piece is put to the one before it."""
        last = self._starts[-1] if self._starts else None
        if (
            last is not None
            and last in self.pieces
            and last not in self._delivered
            and len(self.pieces[last]) + len(piece) <= _SHORT_BYTES
        ):
            self.pieces[last] = memoryview(b"".join((self.pieces[last], piece)))
        else:
            self._starts.append(self.filled)
            self.pieces[self.filled] = memoryview(piece)
        self.filled += len(piece)
        self._notify()

    def has(self, start: int, stop: int) -> bool:
        """Whether `[start, stop)` has been neither delivered already nor left out."""
        return not self.freed or all(at in self.pieces for at in self._pieces_of(start, stop))

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes of `[start, stop)`. A piece of which as much was delivered as it has is let go of."""
        for at in self._pieces_of(start, stop):
            view = self.pieces[at][max(0, start - at) : stop - at]
            self._count_delivered(at, len(view))
            yield view

    def cut_off(self) -> None:
        """It will not go on: what it has is all that it is."""
        self.stop = self.filled

    def _pieces_of(self, start: int, stop: int) -> list[int]:
        """Where the pieces start that `[start, stop)` lies in."""
        first = bisect_right(self._starts, start) - 1
        return self._starts[max(0, first) : bisect_left(self._starts, stop)]

    def _count_delivered(self, at: int, count: int) -> None:
        """Pipelined reads may be served in any order, so what counts is how much, not how far."""
        whole = len(self.pieces[at])
        self._delivered[at] = self._delivered.get(at, 0) + count
        if self._delivered[at] >= whole:
            del self.pieces[at]
            self.freed += whole

    @property
    def is_through(self) -> bool:
        return self.freed >= self.stop - self.start
