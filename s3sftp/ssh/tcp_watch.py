"""Has TCP detect clients that are gone because their machine or the network to it has failed.

    no data in flight     TCP's keepalive probes after half of the limit
    data in flight        TCP_USER_TIMEOUT: none of it is acknowledged
    a closed window       the client is not reading for now; its machine answers TCP's probes

Linux also times out a window that stays closed, even if the probes are answered. But a client that computes
between two reads is not gone, so the limit is lifted while the window is closed and probes are answered.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

_INFO_BYTES = 8
_RETRANSMITS, _PROBES, _BACKOFF = 2, 3, 4
"""Offsets of these bytes in Linux's `struct tcp_info`."""
_LOOKS = 4
"""Checks within the limit: a window that has just closed is noticed before the limit expires."""


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
        self._look_later()

    def stop(self) -> None:
        """Stop: the socket is closed, or about to be."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        pause = self._limit_ms / 1000 / _LOOKS
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
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
        self._look_later()


def _window_is_closed(tcp_info: bytes) -> bool:
    """Whether the kernel probes a closed window and is answered: an unanswered probe is followed by
    another."""
    return bool(tcp_info[_BACKOFF]) and not tcp_info[_RETRANSMITS] and tcp_info[_PROBES] <= 1
