"""Tracks one ranged request under way, and buffers its bytes until they are delivered."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from s3sftp.backends.contract import Buffer

_SHORT_BYTES = 16 << 10
"""Pieces are merged up to this size, so that a slow body does not cost an object for each byte."""
_PARK_SECONDS = 1.0
"""A response body that is paused for this time is closed, because other requests need its connection."""


class Fetch:
    """One ranged request for the bytes `[start, stop)`, and those that have not been delivered.

    `allowed` and `filled` are the offsets up to which bytes may be fetched and have arrived; `freed` is the
    number of bytes that have been delivered and released.
    """

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.allowed = start
        self.filled = start
        self.charged = start
        """The offset up to which the budget is charged."""
        self.needed = 0
        """How many of the charged bytes count as needed, not as read-ahead."""
        self.waiters = 0
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.pieces: dict[int, memoryview] = {}
        """The pieces that have arrived and have not been delivered, by their offset in the file."""
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
        """Wait until more bytes are allowed. Returns False if none are for `_PARK_SECONDS`."""
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
        """Whether all bytes up to `stop` have arrived. Raises the request's failure: if they never will."""
        if self.filled >= stop:
            return True
        if self.failure is not None:
            raise self.failure
        return False

    def put(self, piece: Buffer) -> None:
        """Append a piece, which must not change afterwards. Merges a short piece with the one before it."""
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
        """Whether the pieces of `[start, stop)` are still in the buffer."""
        return not self.freed or all(at in self.pieces for at in self._pieces_of(start, stop))

    def views(self, start: int, stop: int) -> Iterator[memoryview]:
        """Deliver the bytes of `[start, stop)`. Releases a piece once all its bytes have been delivered."""
        for at in self._pieces_of(start, stop):
            view = self.pieces[at][max(0, start - at) : stop - at]
            self._count_delivered(at, len(view))
            yield view

    def cut_off(self) -> None:
        """End the fetch at the bytes that have arrived."""
        self.stop = self.filled

    def _pieces_of(self, start: int, stop: int) -> list[int]:
        """The offsets of the pieces that overlap `[start, stop)`."""
        first = bisect_right(self._starts, start) - 1
        return self._starts[max(0, first) : bisect_left(self._starts, stop)]

    def _count_delivered(self, at: int, count: int) -> None:
        """Count delivered bytes. READs may be answered in any order, so the number counts, not the offset."""
        whole = len(self.pieces[at])
        self._delivered[at] = self._delivered.get(at, 0) + count
        if self._delivered[at] >= whole:
            del self.pieces[at]
            self.freed += whole

    @property
    def is_through(self) -> bool:
        return self.freed >= self.stop - self.start
