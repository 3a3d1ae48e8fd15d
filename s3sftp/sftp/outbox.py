"""Answers on their way to the client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import asyncssh

_JOIN_BYTES = 16 * 1024
"""Answers shorter than this leave together."""


class Outbox:
    """Keeps answers while the channel's window, or the socket behind it, is full."""

    def __init__(self, moved: Callable[[], None]) -> None:
        """`moved` is called whenever bytes have left."""
        self.channel: asyncssh.SSHServerChannel[bytes] | None = None
        self.channel_full = False
        self.transport_full = False
        self._moved = moved
        self._packets: deque[bytes] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Answers that wait."""
        return len(self._packets)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait here and in the channel."""
        return self._bytes + (self.channel.get_write_buffer_size() if self.channel else 0)

    def clear(self) -> None:
        """Nobody takes these answers any more."""
        self._packets.clear()
        self._bytes = 0

    def put(self, packet: bytes) -> None:
        """Add an answer; `flush` sends it. Without a channel nobody waits for it."""
        if self.channel is not None:
            self._packets.append(packet)
            self._bytes += len(packet)

    def flush(self) -> None:
        """Give answers to the channel until it is full."""
        while self._packets and self.channel and not (self.channel_full or self.transport_full):
            data = self._next_output()
            try:
                self.channel.write(data)
            except OSError:  # closed meanwhile
                self.clear()
                return
            self._moved()

    def _next_output(self) -> bytes:
        """One long answer, or several short ones together."""
        pieces = [self._packets.popleft()]
        size = len(pieces[0])
        while self._packets and size + len(self._packets[0]) <= _JOIN_BYTES:
            pieces.append(self._packets.popleft())
            size += len(pieces[-1])
        self._bytes -= size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
