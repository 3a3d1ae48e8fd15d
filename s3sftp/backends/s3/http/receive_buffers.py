"""Provides memory for bodies as they arrive: buffers that are filled once, front to back.

    ┌────────────┬──────────────────┬────────────┐
    │ taken      │ came, not taken  │ room       │   when there is hardly room left: another buffer
    └────────────┴──────────────────┴────────────┘

A reader takes a view of the buffer, without a copy. Nothing overwrites those bytes while the view exists.
"""

from __future__ import annotations

from collections import deque

from s3sftp.runtime.buffer_pool import has_no_views

BUFFER_BYTES = 256 << 10
_LEAST_ROOM = 64 << 10
"""Minimum room that is worth a system call; a smaller rest of a buffer stays empty."""
_MOST_BUFFERS = 128
"""Maximum buffers kept for reuse: 32 MiB."""
_LOOKS = 3


class ReceiveBufferPool:
    """Buffers that are reused once no view of them exists.

    A new buffer would have to be cleared first, which costs as much as receiving into it.
    """

    def __init__(self) -> None:
        self._lent: deque[bytearray] = deque()
        """In the order of their use; the first are the likeliest to be free."""

    def lend(self, most: int) -> memoryview:
        """Return a buffer for `most` bytes, or as many as fit one buffer."""
        if most <= _LEAST_ROOM:
            return memoryview(bytearray(most))
        for _ in range(min(_LOOKS, len(self._lent))):
            buffer = self._lent.popleft()
            self._lent.append(buffer)
            if has_no_views(buffer):
                return memoryview(buffer)
        buffer = bytearray(BUFFER_BYTES + 1)
        buffer.pop()  # leaves the spare byte that `has_no_views` needs
        if len(self._lent) < _MOST_BUFFERS:
            self._lent.append(buffer)
        return memoryview(buffer)

    def forget(self) -> None:
        """Release the memory of the free buffers."""
        self._lent.clear()


class ReceivedBytes:
    """The bytes of one body, in order, between the socket and the reader. Pure."""

    def __init__(self, buffers: ReceiveBufferPool) -> None:
        self._buffers = buffers
        self.waiting = 0
        """Bytes that have arrived and were not taken."""
        self._pieces: deque[memoryview] = deque()
        """Bytes that precede those in the buffer."""
        self._buffer = memoryview(b"")
        self._taken = 0
        self._filled = 0

    def room(self, most: int) -> memoryview:
        """Return where up to `most` bytes can be received next.

        Without `came` in between, it returns the same memory.
        """
        if len(self._buffer) - self._filled < min(most, _LEAST_ROOM):
            self._seal()
            self._buffer = self._buffers.lend(most)
            self._taken = self._filled = 0
        return self._buffer[self._filled : self._filled + most]

    def came(self, count: int) -> None:
        """Record that `count` bytes were received into the room."""
        self._filled += count
        self.waiting += count

    def add(self, piece: memoryview) -> None:
        """Append bytes from other memory, which must not change."""
        if piece:
            self._seal()
            self._pieces.append(piece)
            self.waiting += len(piece)

    def take(self) -> memoryview | None:
        """Return all that has arrived contiguously in memory; None if nothing has."""
        if self._pieces:
            piece = self._pieces.popleft()
        elif self._filled > self._taken:
            piece = self._buffer[self._taken : self._filled]
            self._taken = self._filled
        else:
            return None
        self.waiting -= len(piece)
        return piece

    def _seal(self) -> None:
        if self._filled > self._taken:
            self._pieces.append(self._buffer[self._taken : self._filled])
            self._taken = self._filled
