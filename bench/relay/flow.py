"""One direction of a relayed connection: bytes go from socket to socket inside the kernel, by splice.

Bytes that had to be looked at (heads) were received into memory; they are sent before anything spliced.
`TokenBucket` says how many may pass now.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable

PIPE_BYTES = 1 << 20
BURST_BYTES = 1 << 20
_SPLICE = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class TokenBucket:
    """A rate with a small burst; pure. `bytes_per_second` 0 means no limit."""

    def __init__(self, bytes_per_second: float, burst_bytes: int, now: float) -> None:
        self._rate = bytes_per_second
        self._burst = burst_bytes
        self._tokens = float(burst_bytes)
        self._at = now

    def allowance(self, now: float, most: int) -> int:
        """How many bytes may pass now, `most` at most; 0 when it is too early for a piece worth a call."""
        if not self._rate:
            return most
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return min(most, int(self._tokens)) if self._tokens >= self._burst / 4 else 0

    def spend(self, amount: int) -> None:
        """Say that bytes have passed."""
        if self._rate:
            self._tokens -= amount

    def wait(self) -> float:
        """Seconds until half of the burst may pass."""
        return max(0.001, (self._burst / 2 - self._tokens) / self._rate) if self._rate else 0.0


class Flow:
    """Moves what `source` sends to `sink`.

    `intercept` is called before each piece: it may receive the piece itself and hand it to `put` (True), or
    leave it to be spliced (False), `most` bytes at most. `passed` gets the number of spliced bytes.
    """

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        bytes_per_second: float,
        on_end: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._sink = sink
        self._bucket = TokenBucket(bytes_per_second, BURST_BYTES, self._loop.time())
        self._on_end = on_end
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._piped = 0
        self._held = b""
        self._ended = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self.intercept: Callable[[], bool] = lambda: False
        self.most: Callable[[], int] = lambda: PIPE_BYTES
        self.passed: Callable[[int], None] = lambda _: None
        self.moved = 0
        """Bytes that the source has sent so far."""

    def start(self) -> None:
        self._loop.add_reader(self._source, self._on_readable)

    def put(self, data: bytes) -> None:
        """Send bytes that were received into memory; nothing else is read until they are gone."""
        self._held += data
        self.moved += len(data)
        self._bucket.spend(len(data))
        self._drain()

    def pause(self, seconds: float, then: Callable[[], None]) -> None:
        """Read nothing for a while, then do something and go on."""
        self._stop_reading()
        self._timer = self._loop.call_later(seconds, self._resume, then)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        os.close(self._in)
        os.close(self._out)

    def _resume(self, then: Callable[[], None] | None = None) -> None:
        self._timer = None
        if then is not None:
            then()
        if not self._closed and not self._timer and not self._piped and not self._held:
            self.start()

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._source)

    def _on_readable(self) -> None:
        try:
            if not self.intercept():
                self._splice()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._on_end()

    def _splice(self) -> None:
        allowed = self._bucket.allowance(self._loop.time(), min(PIPE_BYTES, self.most()))
        if not allowed:
            self.pause(self._bucket.wait(), lambda: None)
            return
        moved = os.splice(self._source.fileno(), self._in, allowed, flags=_SPLICE)
        if not moved:
            self.end()
            return
        self._bucket.spend(moved)
        self._piped += moved
        self.moved += moved
        self.passed(moved)
        self._drain()

    def end(self) -> None:
        """The source has ended: pass on what is left, then end the connection."""
        self._ended = True
        self._stop_reading()
        self._drain()

    def _drain(self) -> None:
        if self._closed:
            return
        with contextlib.suppress(BlockingIOError, InterruptedError):
            try:
                self._write()
            except OSError as error:
                if isinstance(error, BlockingIOError | InterruptedError):
                    raise
                self._on_end()
                return
        if self._held or self._piped:
            self._stop_reading()
            self._loop.add_writer(self._sink, self._on_writable)
        elif self._ended:
            self._on_end()

    def _write(self) -> None:
        while self._held:
            self._held = self._held[self._sink.send(self._held) :]
        while self._piped:
            self._piped -= os.splice(self._out, self._sink.fileno(), self._piped, flags=_SPLICE)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._sink)
        self._drain()
        if not self._closed and not self._held and not self._piped and not self._timer:
            self.start()
