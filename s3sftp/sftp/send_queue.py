"""Answers on their way to the client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import cast

import asyncssh

from s3sftp.sftp.codec import Answer

_JOIN_BYTES = 16 * 1024
"""Answers shorter than this leave together."""


class SendQueue:
    """Keeps answers while the channel's window, or the socket behind it, is full."""

    def __init__(self, moved: Callable[[], None]) -> None:
        """`moved` is called whenever bytes have left."""
        self.channel: asyncssh.SSHServerChannel[bytes] | None = None
        self.channel_full = False
        self.transport_full = False
        self._moved = moved
        self._answers: deque[tuple[Answer, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Answers that wait."""
        return len(self._answers)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait here and in the channel."""
        return self._bytes + (self.channel.get_write_buffer_size() if self.channel else 0)

    def clear(self) -> None:
        """Nobody takes these answers any more."""
        self._answers.clear()
        self._bytes = 0

    def put(self, answer: Answer) -> None:
        """Add an answer; `flush` sends it. Without a channel nobody waits for it."""
        if self.channel is not None:
            size = sum(map(len, answer)) if isinstance(answer, list) else len(answer)
            self._answers.append((answer, size))
            self._bytes += size

    def flush(self) -> None:
        """Give answers to the channel until it is full."""
        while self._answers and self.channel and not (self.channel_full or self.transport_full):
            pieces = self._next_output()
            try:
                self.channel.writelines(pieces)
            except OSError:  # closed meanwhile
                self.clear()
                return
            self._moved()

    def _next_output(self) -> list[bytes]:
        """The pieces of one long answer, or of several short ones."""
        pieces: list[bytes | memoryview] = []
        taken = 0
        while self._answers and (not pieces or taken + self._answers[0][1] <= _JOIN_BYTES):
            answer, size = self._answers.popleft()
            pieces += answer if isinstance(answer, list) else [answer]
            taken += size
        self._bytes -= taken
        return cast(list[bytes], pieces)
