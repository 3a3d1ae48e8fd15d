"""Sends keepalive requests to clients, and ends connections that leave them unanswered for too long.

The requests also keep firewalls and load balancers from forgetting a connection.

A single-threaded client (libssh2 in curl and PHP, net-ssh, phpseclib) answers only while its program calls
the library: a silent client is not necessarily gone. TCP detects clients that are gone (`tcp_watch.py`).
Unanswered requests end a connection only when an equally silent session would have been ended as idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from s3sftp.ssh import asyncssh_internals
from s3sftp.ssh.options import SshOptions

_LONGER = 1.5
"""An idle session is ended first, with its own reason: idleness is checked every quarter of its limit."""


class Keepalive:
    """The keepalive requests to one client. Costs nothing per packet: sequence numbers show what
    has arrived."""

    def __init__(
        self, conn: Any, options: SshOptions, sessions_idle: timedelta, give_up: Callable[[str], None]
    ) -> None:
        """`sessions_idle` is how long a session may be idle, 0 without limit. `give_up` ends the
        connection."""
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
        """Start, once the client has logged in."""
        if self._seconds and self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Stop, because the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def answered(self) -> None:
        """Record that the client has answered a request: all that was sent before it has arrived."""
        for answer in self._answers:
            if not answer.done():
                answer.set_result(None)

    async def answer(self, seconds: float) -> None:
        """Send a request and wait for its answer, at most this long."""
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
