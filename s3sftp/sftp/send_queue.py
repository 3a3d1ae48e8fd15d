"""Queues answers until the client's channel takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import asyncssh

from s3sftp.sftp.codec import Answer

_JOIN_BYTES = 16 * 1024
"""Answers are joined up to this size."""


class SendQueue:
    """Holds answers while the channel's window, or the socket behind it, is full."""

    def __init__(self, moved: Callable[[], None]) -> None:
        """`moved` is called whenever the channel has taken bytes."""
        self.channel: asyncssh.SSHServerChannel[bytes] | None = None
        self.channel_full = False
        self.transport_full = False
        self._moved = moved
        self._write_last: Callable[[list[bytes]], None] | None = None
        self._answers: deque[tuple[Answer, int]] = deque()
        self._bytes = 0

    def open(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        """Send to this channel. If it has a `write_last`, as `PacketChannel` has, that gets what nothing
        follows."""
        self.channel = channel
        self._write_last = getattr(channel, "write_last", None)

    def __len__(self) -> int:
        """Answers in the queue."""
        return len(self._answers)

    @property
    def unsent_bytes(self) -> int:
        """Bytes in this queue and in the channel's buffer."""
        return self._bytes + (self.channel.get_write_buffer_size() if self.channel else 0)

    def clear(self) -> None:
        """Drop all answers."""
        self._answers.clear()
        self._bytes = 0

    def put(self, answer: Answer) -> None:
        """Add an answer, which `flush` sends. Drops it if the channel is gone."""
        if self.channel is not None:
            size = sum(map(len, answer)) if isinstance(answer, list) else len(answer)
            self._answers.append((answer, size))
            self._bytes += size

    def flush(self, *, more_follow: bool = True) -> None:
        """Write answers to the channel until it is full. `more_follow`: others may follow in this turn of the
        loop."""
        while self._answers and self.channel and not (self.channel_full or self.transport_full):
            pieces = self._next_output()
            try:
                if more_follow or self._answers or self._write_last is None:
                    self.channel.writelines(pieces)
                else:
                    self._write_last(pieces)
            except OSError:  # closed in the meantime
                self.clear()
                return
            self._moved()

    def _next_output(self) -> list[bytes]:
        """The pieces of one long answer, or of several short ones."""
        pieces: list[Any] = []  # views too, which asyncssh calls bytes
        taken = 0
        while self._answers and (not pieces or taken + self._answers[0][1] <= _JOIN_BYTES):
            answer, size = self._answers.popleft()
            pieces += answer if isinstance(answer, list) else [answer]
            taken += size
        self._bytes -= taken
        return pieces
