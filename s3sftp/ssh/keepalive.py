"""Detects clients that are gone, by keepalive requests of SSH and by TCP, and ends their connections.

The requests also keep firewalls and load balancers from forgetting a connection. A single-threaded client
(libssh2 in curl and PHP, net-ssh, phpseclib) answers them only while its program calls the library, so a
silent client is not necessarily gone: unanswered requests end a connection only when an equally silent
session would have been ended as idle. TCP detects that the machine or the network has failed:

    no data in flight     TCP's keepalive probes after half of the limit
    data in flight        TCP_USER_TIMEOUT: none of it is acknowledged
    a closed window       the client is not reading for now; its machine answers TCP's probes

Linux also times out a window that stays closed, even if the probes are answered. But a client that computes
between two reads is not gone, so the limit is lifted while the window is closed and probes are answered.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from s3sftp.ssh import asyncssh_internals
from s3sftp.ssh.options import SshOptions

_LONGER = 1.5
"""An idle session is ended first, with its own reason: idleness is checked every quarter of its limit."""
_INFO_BYTES = 8
_RETRANSMITS, _PROBES, _BACKOFF = 2, 3, 4
"""Offsets of these bytes in Linux's `struct tcp_info`."""
_CHECKS = 4
"""Checks within the limit: a window that has just closed is noticed before the limit expires."""


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
        self._most_silent_seconds = _LONGER * sessions_idle.total_seconds() or float("inf")
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Future[None]] = set()
        self._received = -1
        self._unanswered = 0
        self._received_at = 0.0

    def start(self) -> None:
        """Start, once the client has logged in."""
        if self._seconds and self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

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
            asyncssh_internals.send_keepalive(self._conn)
            await asyncio.wait({answer}, timeout=seconds)
        finally:
            self._answers.discard(answer)

    def _check(self) -> None:
        received, now = asyncssh_internals.packets_received(self._conn), self._loop.time()
        if received != self._received:
            self._received, self._received_at, self._unanswered = received, now, 0
        silent = now - self._received_at
        if self._unanswered >= self._most_unanswered and silent >= self._most_silent_seconds:
            self._give_up("keepalives are not answered")
            return
        asyncssh_internals.send_keepalive(self._conn)
        self._unanswered += 1
        self._timer = self._loop.call_later(self._seconds, self._check)


class TcpWatch:
    """Manages the TCP options of one connected socket. Systems without TCP_USER_TIMEOUT keep their default
    behaviour."""

    def __init__(self, sock: Any, limit_seconds: float) -> None:
        """A limit of 0 leaves everything to the system."""
        self._sock = sock
        self._limit_ms = int(limit_seconds * 1000)
        self._lifted = False
        self._timer: asyncio.TimerHandle | None = None
        tcp = sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6)
        if self._limit_ms and tcp and hasattr(socket, "TCP_USER_TIMEOUT"):
            self._begin(max(1, int(limit_seconds)))

    def _begin(self, seconds: int) -> None:
        options = {
            socket.TCP_KEEPIDLE: max(1, seconds // 2),
            socket.TCP_KEEPINTVL: max(1, seconds // 8),
            socket.TCP_USER_TIMEOUT: self._limit_ms,
        }
        for option, value in options.items():
            self._sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self._schedule_check()

    def stop(self) -> None:
        """Stop: the socket is closed, or about to be."""
        if self._timer is not None:
            self._timer.cancel()

    def _schedule_check(self) -> None:
        pause = self._limit_ms / 1000 / _CHECKS
        self._timer = asyncio.get_running_loop().call_later(pause, self._check)

    def _check(self) -> None:
        try:
            lifted = _window_is_closed(
                self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            )
            if lifted != self._lifted:
                self._lifted = lifted
                limit = 0 if lifted else self._limit_ms
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        except OSError:
            return  # closed meanwhile
        self._schedule_check()


def _window_is_closed(tcp_info: bytes) -> bool:
    """Whether the kernel probes a closed window and is answered: an unanswered probe is followed by
    another."""
    return bool(tcp_info[_BACKOFF]) and not tcp_info[_RETRANSMITS] and tcp_info[_PROBES] <= 1
