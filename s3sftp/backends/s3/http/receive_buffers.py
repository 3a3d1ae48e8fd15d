"""Where the bytes of a body are received: buffers that are filled once, front to back.

    ┌────────────┬──────────────────┬────────────┐
    │ taken      │ came, not taken  │ room       │   when there is hardly room left: another buffer
    └────────────┴──────────────────┴────────────┘

What is taken is a view of its buffer, without a copy. Nothing is written there as long as there is a view.
"""

from __future__ import annotations

from collections import deque

from s3sftp.runtime.buffers import has_no_views

BUFFER_BYTES = 256 << 10
_LEAST_ROOM = 64 << 10
"""Not worth a system call of its own: the rest of a buffer below this is left empty."""
_MOST_BUFFERS = 128
"""Kept for reuse: 32 MiB."""
_LOOKS = 3


class ReceiveBufferPool:
    """Buffers that are used again when nobody has a view of them any more.

    A new one would have to be cleared first, which costs as much as what is then received into it.
    """

    def __init__(self) -> None:
        self._lent: deque[bytearray] = deque()
        """By when they were lent; the first are the likeliest to be free."""

    def lend(self, most: int) -> memoryview:
        """A buffer for `most` bytes, or as many as one has."""
        if most <= _LEAST_ROOM:
            return memoryview(bytearray(most))
        for _ in range(min(_LOOKS, len(self._lent))):
            buffer = self._lent.popleft()
            self._lent.append(buffer)
            if has_no_views(buffer):
                return memoryview(buffer)
        buffer = bytearray(BUFFER_BYTES + 1)
        buffer.pop()  # leaves the room that `is_free` needs
        if len(self._lent) < _MOST_BUFFERS:
            self._lent.append(buffer)
        return memoryview(buffer)

    def forget(self) -> None:
        """Give back the memory of those that are free."""
        self._lent.clear()


class ReceivedBytes:
    """Bytes of one body, in order, from the socket to who takes them. Pure: knows no socket."""

    def __init__(self, buffers: ReceiveBufferPool) -> None:
        self._buffers = buffers
        self.waiting = 0
        """Bytes that came and were not taken."""
        self._pieces: deque[memoryview] = deque()
        """Before what is in the buffer."""
        self._buffer = memoryview(b"")
        self._taken = 0
        self._filled = 0

    def room(self, most: int) -> memoryview:
        """Where up to `most` bytes can be received next. Asked again without `came`: the same place."""
        if len(self._buffer) - self._filled < min(most, _LEAST_ROOM):
            self._seal()
            self._buffer = self._buffers.lend(most)
            self._taken = self._filled = 0
        return self._buffer[self._filled : self._filled + most]

    def came(self, count: int) -> None:
        """So many bytes were received into the room."""
        self._filled += count
        self.waiting += count

    def add(self, piece: memoryview) -> None:
        """Bytes that lie elsewhere, and will not be changed."""
        if piece:
            self._seal()
            self._pieces.append(piece)
            self.waiting += len(piece)

    def take(self) -> memoryview | None:
        """All that came in one piece of memory; None when nothing did."""
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
