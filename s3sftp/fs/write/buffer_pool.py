"""Memory of chunks that are stored, for other chunks to be put together in. Pure.

    lend ─► a chunk is filled ─► full: on its way, counted by the budget ─► keep ─┬─► idle ─► lend
                                                                                  └─► let go: enough is idle

New memory costs as much as what is written into it: the system has to find and clear each page. What is kept
is bounded, because the budget does not count it: idle buffers, and lent ones as if they were still empty. It
is let go of when no large upload is open.
"""

from __future__ import annotations

from collections import deque

from s3sftp.backends import Buffer
from s3sftp.runtime.buffers import has_no_views

_LEAST_BYTES = 256 << 10
"""Less is not worth keeping."""


class BufferPool:
    """Buffers of all uploads of the process."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self._most_bytes = most_bytes
        self._idle: deque[bytearray] = deque()
        """By when they came back; the first are the likeliest to be free."""
        self._filling: dict[object, int] = {}
        self._users: set[object] = set()

    @property
    def idle_bytes(self) -> int:
        """Bytes that are kept for the next chunks."""
        return sum(map(len, self._idle))

    def lend(self, owner: object) -> bytearray | None:
        """A buffer of about a chunk's size, its content arbitrary; None: there is none, take new memory.

        The owner fills one at a time.
        """
        self._users.add(owner)
        for _ in range(len(self._idle)):
            buffer = self._idle.popleft()
            if has_no_views(buffer):
                self._filling[owner] = len(buffer)
                return buffer
            self._idle.append(buffer)  # who sent it is not quite done with it
        return None

    def full(self, owner: object) -> None:
        """The owner's chunk is complete: all of its memory is counted by the budget now."""
        self._filling.pop(owner, None)

    def keep(self, chunk: Buffer) -> None:
        """A chunk is stored, or lost: its memory may be used again once nobody has a view of it."""
        buffer = chunk.obj if isinstance(chunk, memoryview) else chunk
        if not isinstance(buffer, bytearray) or len(buffer) < _LEAST_BYTES or not self._users:
            return
        if self.idle_bytes + sum(self._filling.values()) + len(buffer) <= self._most_bytes:
            self._idle.append(buffer)

    def leave(self, owner: object) -> None:
        """The owner's upload has ended. With the last, nothing is kept any more."""
        self._filling.pop(owner, None)
        self._users.discard(owner)
        if not self._users:
            self._idle.clear()
