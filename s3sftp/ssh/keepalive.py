"""Questions whether a client is still there, which keep awake what lies between, and what their answers tell.

A client of one thread (libssh2 below curl and PHP, net-ssh, phpseclib) answers only while its program calls
the library: silent is not gone. Who is gone, TCP finds out (`tcp_watch.py`). Unanswered questions end a
connection only when a session as silent would have been ended as idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from s3sftp.ssh import asyncssh_internals
from s3sftp.ssh.options import SshOptions

_LONGER = 1.5
"""A session as silent is ended first, and says so: idleness is looked for every quarter of its limit."""


class Keepalive:
    """The questions to one client. It costs a packet nothing: what came is read off the sequence numbers."""

    def __init__(
        self, conn: Any, options: SshOptions, sessions_idle: timedelta, give_up: Callable[[str], None]
    ) -> None:
        """`sessions_idle` is how long a session may be idle, 0 for ever. `give_up` ends the connection."""
        self._conn = conn
        self._seconds = options.keepalive_interval.total_seconds()
        self._most_unanswered = options.keepalive_count
        self._patience = _LONGER * sessions_idle.total_seconds() or float("inf")
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Future[None]] = set()
        self._received = -1
        self._unanswered = 0
        self._heard_at = 0.0

    def start(self) -> None:
        """The client has logged in."""
        if self._seconds and self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """The connection is over."""
        if self._timer is not None:
            self._timer.cancel()

    def answered(self) -> None:
        """The client has answered a question: all that was sent before it has arrived."""
        for answer in self._answers:
            if not answer.done():
                answer.set_result(None)

    async def answer(self, seconds: float) -> None:
        """Ask, and wait for the answer, so long at most."""
        answer = self._loop.create_future()
        self._answers.add(answer)
        try:
            asyncssh_internals.ask(self._conn)
            await asyncio.wait({answer}, timeout=seconds)
        finally:
            self._answers.discard(answer)

    def _look(self) -> None:
        received, now = asyncssh_internals.packets_received(self._conn), self._loop.time()
        if received != self._received:
            self._received, self._heard_at, self._unanswered = received, now, 0
        silent = now - self._heard_at
        if self._unanswered >= self._most_unanswered and silent >= self._patience:
            self._give_up("keepalives are not answered")
            return
        asyncssh_internals.ask(self._conn)
        self._unanswered += 1
        self._timer = self._loop.call_later(self._seconds, self._look)
