"""Buffers shared by all connections of an event loop, each used for at most one turn of the loop.

No connection's data stays in them longer, so little memory is enough for all. Memory that is reused is
neither cleared by the system nor cold in the cache.
"""

from __future__ import annotations

import os
import threading

GATHER_BYTES = 256 * 1024
"""When this much is buffered, it is sent without waiting for the end of the loop's turn."""
RECEIVE_BYTES = 256 * 1024
HEADROOM_BYTES = 64 * 1024
"""Space before received data for the beginning of a packet that the data continues."""
_RANDOM_BYTES = 4096
_FREE_BUFFERS = 4


class ReceiveBuffer(threading.local):
    """One buffer for all connections of a loop: received data is processed before the next is received."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(HEADROOM_BYTES + RECEIVE_BYTES))


class SendBuffers(threading.local):
    """Buffers to encrypt into, reused while they are warm in the cache."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def acquire(self, size: int) -> memoryview:
        """A buffer of at least `size` bytes."""
        if size > GATHER_BYTES or not self._free:
            return memoryview(bytearray(max(size, GATHER_BYTES)))
        return self._free.pop()

    def release(self, buffer: memoryview) -> None:
        if len(self._free) < _FREE_BUFFERS and len(buffer) == GATHER_BYTES:
            self._free.append(buffer)


class Padding(threading.local):
    """Random padding (RFC 4253, 6), drawn from the system one page at a time."""

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def next(self, count: int) -> bytes:
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(_RANDOM_BYTES), 0
        self._at += count
        return self._bytes[self._at - count : self._at]


receiving, sending, padding = ReceiveBuffer(), SendBuffers(), Padding()
