"""Memory that the connections of an event loop share, each for no longer than a turn of the loop.

Nothing of a connection stays in here after that, so little is enough for all; and memory that is used again
and again is neither cleared by the system nor cold.
"""

from __future__ import annotations

import os
import threading

GATHER_BYTES = 256 * 1024
"""So many bytes go to the socket without waiting for the end of the loop's turn."""
RECEIVE_BYTES = 256 * 1024
HEADROOM_BYTES = 64 * 1024
"""Before what is received there is room for the beginning of a packet, whose rest it brings."""
_RANDOM_BYTES = 4096
_FREE_BUFFERS = 4


class ReceiveBuffer(threading.local):
    """One buffer for all connections of a loop: what it receives is read before the next is received."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(HEADROOM_BYTES + RECEIVE_BYTES))


class SendBuffers(threading.local):
    """Buffers to encrypt into, used again while they are warm."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def take(self, size: int) -> memoryview:
        """At least `size` bytes."""
        if size > GATHER_BYTES or not self._free:
            return memoryview(bytearray(max(size, GATHER_BYTES)))
        return self._free.pop()

    def give_back(self, buffer: memoryview) -> None:
        if len(self._free) < _FREE_BUFFERS and len(buffer) == GATHER_BYTES:
            self._free.append(buffer)


class Padding(threading.local):
    """Padding (RFC 4253, 6: should be random), drawn from the system a page at a time."""

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(_RANDOM_BYTES), 0
        self._at += count
        return self._bytes[self._at - count : self._at]


receiving, sending, padding = ReceiveBuffer(), SendBuffers(), Padding()
