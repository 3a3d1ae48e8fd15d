"""Assembles a file from writes that may arrive in any order. Pure: no await, no storage.

    0        cut            length
    |─────────|▓▓▓▓▓·····▓▓▓▓|        ─ handed to the storage, cannot change any more
                                      ▓ islands: bytes in memory, may be rewritten
                                      · gaps: bytes of the base, zeros, or bytes that have not arrived

The meaning of a gap is decided late: below `base_stop` it has the bytes of the base (the file was opened
without TRUNC); in `zeros` it has the zeros by which the client enlarged the file; otherwise bytes are
missing. All offsets and sizes are in bytes.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

_MOST_ISLANDS = 4096


class RewriteNeeded(Exception):
    """The write cannot be placed: it is before the cut, or too far after it."""


@dataclass(slots=True)
class _Island:
    start: int
    data: bytearray
    """Its bytes, possibly followed by unused memory."""
    size: int

    @property
    def stop(self) -> int:
        return self.start + self.size

    @property
    def view(self) -> memoryview:
        return memoryview(self.data)[: self.size]

    def append(self, data: bytes | memoryview) -> None:
        """Append bytes: first into the unused memory, the rest into new memory."""
        room = len(self.data) - self.size
        if room:
            fitting = memoryview(data)[:room]
            memoryview(self.data)[self.size : self.size + len(fitting)] = fitting
        if len(data) > room:
            self.data += memoryview(data)[room:]
        self.size += len(data)

    def move_to(self, buffer: bytearray) -> None:
        """Move the bytes to another buffer, whose other content becomes unused memory."""
        if len(buffer) >= self.size:
            memoryview(buffer)[: self.size] = self.view
            self.data = buffer

    def settle(self) -> None:
        """Release the unused memory."""
        del self.data[self.size :]


def _nothing_spare() -> bytearray | None:
    return None


@dataclass(slots=True)
class Assembly:
    """Collects writes and hands over chunks from the front."""

    reorder_bytes: int
    """Maximum number of bytes that wait for earlier ones."""
    base_stop: int = 0
    """Gaps below this offset have the bytes of the base."""
    base_known: bool = True
    """False while it is unknown whether there is a base, and how large it is."""
    length: int = 0
    """Size of the file so far."""
    cut: int = 0
    """The offset below which everything has been handed over."""
    zeros: list[tuple[int, int]] = field(default_factory=list)
    """Ranges by which the client enlarged the file: gaps in them are zeros."""
    resized: bool = False
    """Whether the client has set the size, so that the size of the base does not matter."""
    spare: Callable[[], bytearray | None] = _nothing_spare
    """Called when a large chunk begins, for a buffer to reuse. Its content does not matter."""
    small_bytes: int = 256 << 10
    """A chunk moves to a buffer of `spare` only when it exceeds this size, because most files are small."""
    _smallest_size: int = sys.maxsize
    """Bytes of the base that were once truncated do not come back when the file grows again."""
    _islands: list[_Island] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(island.size for island in self._islands)

    @property
    def front(self) -> int:
        """Bytes in memory that directly follow the cut."""
        first = self._first()
        return first.size if first else 0

    @property
    def touched(self) -> bool:
        """Whether anything was written or resized."""
        return bool(self.cut or self._islands or self.resized)

    def learn_base(self, size: int) -> None:
        """Note that the base has `size` bytes, 0 if there is none."""
        self.base_known = True
        self.base_stop = min(size, self._smallest_size)
        if not self.resized:
            self.length = max(self.length, size)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Place bytes at an offset.

        Raises RewriteNeeded: if that is before the cut, or if too many bytes wait for earlier ones. Nothing
        is changed then.
        """
        if not data:
            return
        stop = offset + len(data)
        self._refuse_sent(offset)
        first = self._first()
        if first is not None and offset == first.stop and len(self._islands) == 1:
            self._append(first, data)
        else:
            self._check_room(offset, len(data))
            self._merge(offset, stop, data)
        self.length = max(self.length, stop)

    def rewrite(self, offset: int, data: memoryview) -> list[tuple[int, int]]:
        """Replace those bytes that are in memory. Returns the ranges `[start, stop)` of the others.

        Raises RewriteNeeded: if `offset` is before the cut. Nothing is changed then.
        """
        if data:
            self._refuse_sent(offset)
        others = []
        at, end = offset, offset + len(data)
        for island in self._islands:
            start, stop = max(at, island.start), min(end, island.stop)
            if start >= stop:
                continue
            if at < start:
                others.append((at, start))
            island.view[start - island.start : stop - island.start] = data[start - offset : stop - offset]
            at = stop
        return [*others, (at, end)] if at < end else others

    def resize(self, size: int) -> None:
        """Truncate the file, or enlarge it with zeros. Raises RewriteNeeded: if `size` is below the cut."""
        if size < self.cut:
            raise RewriteNeeded("the new size is less than what was already sent to storage")
        for island in self._islands:
            island.size = max(0, min(island.size, size - island.start))
            island.settle()
        self._islands = [island for island in self._islands if island.size]
        self.base_stop = min(self.base_stop, size)
        self._smallest_size = min(self._smallest_size, size)
        self.zeros = [(start, min(stop, size)) for start, stop in self.zeros if start < size]
        if size > self.length:
            self.zeros.append((self.length, size))
        self.length = size
        self.resized = True

    def zeros_at(self, offset: int) -> int | None:
        """The end of the range of zeros that contains `offset`; None if its bytes are missing."""
        return next((stop for start, stop in self.zeros if start <= offset < stop), None)

    def gap(self) -> tuple[int, int]:
        """The first range `[start, stop)` after the cut that is not in memory; empty if there is none."""
        front = self._first()
        rest = self._islands[1:] if front else self._islands
        start = front.stop if front else self.cut
        return start, rest[0].start if rest else self.length

    def appends_to_base(self) -> bool:
        """Whether the first write begins exactly where the base ends, and nothing has been sent."""
        start, stop = self.gap()
        return self.base_known and start == self.cut < stop == self.base_stop and bool(self._islands)

    def waiting(self) -> int:
        """The number of bytes that wait for earlier ones."""
        return self.held - self.front

    def missing(self, count: int) -> int:
        """How many of the `count` bytes after the cut are not in memory."""
        stop = self.cut + count
        there = (min(island.stop, stop) - island.start for island in self._islands if island.start < stop)
        return count - sum(there)

    def pop_chunk(self, count: int) -> memoryview:
        """Hand over the `count` bytes after the cut, and the memory that holds them.

        Raises ValueError: if they are not in memory.
        """
        first = self._first()
        if first is None or first.size < count:
            if count:
                raise ValueError(f"{count} bytes wanted, {self.front} are there")
            return memoryview(bytearray())
        rest = bytearray(first.view[count:])
        self.cut += count
        self._islands[:1] = [_Island(self.cut, rest, len(rest))] if rest else []
        return first.view[:count]

    def islands(self) -> list[tuple[int, memoryview]]:
        """The bytes in memory, with their offsets. The views must be released before the next write."""
        return [(island.start, island.view) for island in self._islands]

    def restart(self) -> None:
        """Start again at offset 0: drop the bytes in memory, but keep the size and the meaning of gaps."""
        self._islands.clear()
        self.cut = 0

    def skip(self, stop: int) -> None:
        """Move the cut to `stop`, because the storage keeps the bytes of the base up to there."""
        self.cut = stop

    def continue_at(self, stop: int) -> None:
        """Begin at `stop`, because the storage has the bytes up to there. Only before the first write."""
        self.cut = self.length = stop

    def fill(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Fill the start of a gap with bytes of the base or with zeros. Never raises RewriteNeeded."""
        self._merge(offset, offset + len(data), data)

    def peek(self, offset: int, length: int) -> bytes | None:
        """The bytes from `offset` to the next gap, at most `length`; None if the first is not in memory."""
        for island in self._islands:
            if island.start <= offset < island.stop:
                at = offset - island.start
                return bytes(island.view[at : at + length])
        return None

    def next_island(self, offset: int) -> int:
        """The start of the next island at or after `offset`; the length of the file if there is none."""
        return min((i.start for i in self._islands if i.start >= offset), default=self.length)

    def _first(self) -> _Island | None:
        return self._islands[0] if self._islands and self._islands[0].start == self.cut else None

    def _append(self, first: _Island, data: bytes | memoryview) -> None:
        if first.size <= self.small_bytes < first.size + len(data):
            buffer = self.spare()
            if buffer is not None:
                first.move_to(buffer)
        first.append(data)

    def _refuse_sent(self, offset: int) -> None:
        if offset < self.cut:
            raise RewriteNeeded("it is behind what was already sent to storage")

    def _check_room(self, offset: int, count: int) -> None:
        if offset == self.cut + self.front:
            return
        if self.waiting() + count > self.reorder_bytes or len(self._islands) >= _MOST_ISLANDS:
            raise RewriteNeeded("too many bytes wait for earlier ones that have not arrived")

    def _merge(self, offset: int, stop: int, data: bytes | bytearray | memoryview) -> None:
        low = bisect_left(self._islands, offset, key=lambda island: island.stop)
        high = low
        while high < len(self._islands) and self._islands[high].start <= stop:
            high += 1
        later = self._islands[low:high]
        for island in later:
            island.settle()
        if later and later[0].start <= offset:
            merged = later.pop(0)
            at = offset - merged.start
            merged.data[at : at + len(data)] = data
        else:
            merged = _Island(offset, bytearray(data), 0)
        merged.size = len(merged.data)
        for island in later:
            merged.append(island.view[max(0, merged.stop - island.start) :])
        self._islands[low:high] = [merged]
