"""Reuses the memory of stored chunks for new chunks. Pure.

    lend ─► a chunk is filled ─► full: being stored, the budget counts it ─► give_back
      give_back ─┬─► idle ─► lend
                 └─► freed, if enough is idle

Allocating memory costs as much as writing to it, because the system has to find and clear each page. The byte
budget does not count the pool, so the pool has a bound of its own for idle buffers and lent ones (counted as
if they were still empty). The pool is freed when no large upload is open.
"""

from __future__ import annotations

from collections import deque

_LEAST_BYTES = 256 << 10
"""Smaller buffers are not worth keeping."""


class BufferPool:
    """The buffer pool of all uploads of the process. `most_bytes` bounds the idle and lent buffers."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most_bytes = most_bytes
        self._idle: deque[bytearray] = deque()
        """In the order in which they came back: the first are most likely to have no views."""
        self._filling: dict[object, int] = {}
        self._users: set[object] = set()

    @property
    def idle_bytes(self) -> int:
        """Bytes of the buffers that can be lent."""
        return sum(map(len, self._idle))

    def lend(self, owner: object) -> bytearray | None:
        """A buffer of about the size of a chunk with arbitrary content, or None if no buffer is free.

        An owner fills one buffer at a time.
        """
        self._users.add(owner)
        for _ in range(len(self._idle)):
            buffer = self._idle.popleft()
            if has_no_views(buffer):
                self._filling[owner] = len(buffer)
                return buffer
            self._idle.append(buffer)  # its sender still has a view of it
        return None

    def full(self, owner: object) -> None:
        """Note that the owner's chunk is complete, so that the budget counts all of its memory."""
        self._filling.pop(owner, None)

    def give_back(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the memory of a chunk that has been stored or has failed. It is lent once it has no views."""
        buffer = chunk.obj if isinstance(chunk, memoryview) else chunk
        if not isinstance(buffer, bytearray) or len(buffer) < _LEAST_BYTES or not self._users:
            return
        if self.idle_bytes + sum(self._filling.values()) + len(buffer) <= self._most_bytes:
            self._idle.append(buffer)

    def leave(self, owner: object) -> None:
        """Note that the owner's upload has ended. The last one frees the pool."""
        self._filling.pop(owner, None)
        self._users.discard(owner)
        if not self._users:
            self._idle.clear()


def has_no_views(buffer: bytearray) -> bool:
    """Whether no memoryview of the buffer exists, so that its memory may be reused.

    A bytearray refuses to change its size while a view of it exists.
    """
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True
