"""Provides memory for bodies as they arrive: buffers that are reused once no view of them exists.

A reader takes a view of the buffer, without a copy. Nothing overwrites those bytes while the view exists.

This is not `runtime/buffer_pool.py`, although both ask a buffer whether it has views: there the sender of a
chunk gives its buffer back, and the byte budget counts it meanwhile. Here nobody gives anything back, because
readers just drop their views (decision 0013).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from s3sftp.runtime.buffer_pool import has_no_views

BUFFER_BYTES: Final = 256 << 10
LEAST_ROOM: Final = 64 << 10
"""Minimum room that is worth a system call; callers leave a smaller rest of a buffer empty."""
_MOST_BUFFERS: Final = 128
"""Maximum buffers kept for reuse: 32 MiB."""
_LOOKS: Final = 3


class ReceiveBuffers:
    """Buffers that are reused once no view of them exists.

    A new buffer would have to be cleared first, which costs as much as receiving into it.
    """

    def __init__(self) -> None:
        self._lent: deque[bytearray] = deque()
        """In the order of their use; the first are the likeliest to be free."""

    def lend(self, most: int) -> memoryview:
        """Return a buffer for `most` bytes, or as many as fit one buffer."""
        if most <= LEAST_ROOM:
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
