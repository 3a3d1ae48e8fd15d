"""Keeps idle connections to the store for the next request."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection
from botocore.httpsession import get_cert_path

from s3sftp.backends.s3.http.connection import HttpConnection
from s3sftp.backends.s3.http.receive_buffers import ReceiveBufferPool

IDLE_SECONDS: Final = 12.0
"""Seconds after which an idle connection is closed: sooner than stores and load balancers do it."""
_HEAD_START_SECONDS: Final = 0.25
"""Head start of each address before the next one is tried too (RFC 8305)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The scheme, host and port of a connection."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        parts = urlsplit(url)
        default = 443 if parts.scheme == "https" else 80
        return cls(parts.scheme, parts.hostname or "", parts.port or default)

    @property
    def authority(self) -> str:
        """The Host header, as it is signed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


class ConnectionPool:
    """Open connections by origin. Idle ones are closed after a while."""

    def __init__(self, verify: bool | str) -> None:
        self._verify = verify
        self._tls: asyncio.Future[ssl.SSLContext] | None = None
        self._buffers = ReceiveBufferPool()
        self._open: dict[HttpConnection, Origin] = {}
        self._idle: dict[Origin, list[tuple[HttpConnection, float]]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def idle(self, origin: Origin) -> HttpConnection | None:
        """Return a connection that has served before, which the store may have closed by now.

        None if there is none.
        """
        waiting = self._idle.get(origin, [])
        while waiting:
            connection, _ = waiting.pop()
            if connection.is_open:
                return connection
        return None

    async def connect(self, origin: Origin, seconds: float) -> HttpConnection:
        """Open a new connection.

        Raises OSError, including ssl.SSLError: if that fails. Raises TimeoutError: after `seconds`.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            tls: dict[str, Any] = {}
            if origin.scheme == "https":
                tls = {"ssl": await self._context(), "server_hostname": origin.host}
            addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            # asyncio's own race of addresses loses sockets when it is cancelled (Python 3.11)
            connected = await start_connection(addresses, happy_eyeballs_delay=_HEAD_START_SECONDS)
            _, connection = await loop.create_connection(self._made, sock=connected, **tls)
        self._open[connection] = origin
        return connection

    def close(self) -> None:
        """Close all connections, idle or not."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.abort()

    def _made(self) -> HttpConnection:
        return HttpConnection(asyncio.get_running_loop(), self._buffers, self._put_aside, self._lost)

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None or (self._tls.done() and self._tls.exception() is not None):
            # In a thread, because it reads files and parses a hundred certificates.
            self._tls = asyncio.ensure_future(asyncio.to_thread(_context, self._verify))
        return await asyncio.shield(self._tls)

    def _put_aside(self, connection: HttpConnection) -> None:
        origin, loop = self._open[connection], asyncio.get_running_loop()
        self._idle.setdefault(origin, []).append((connection, loop.time()))
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_SECONDS, self._close_idle)

    def _lost(self, connection: HttpConnection) -> None:
        self._open.pop(connection, None)

    def _close_idle(self) -> None:
        """Close the connections that have been idle for too long, and schedule the next check."""
        self._sweep = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        oldest = now
        for origin, waiting in list(self._idle.items()):
            while waiting and waiting[0][1] <= now - IDLE_SECONDS:
                waiting.pop(0)[0].abort()
            if waiting:
                oldest = min(oldest, waiting[0][1])
            else:
                del self._idle[origin]
        if len(self._open) == 0:
            self._buffers.forget()
        if self._idle:
            self._sweep = loop.call_at(oldest + IDLE_SECONDS, self._close_idle)


def _context(verify: bool | str) -> ssl.SSLContext:
    """Create botocore's TLS settings: its certificates or the operator's, and host names are verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(get_cert_path(verify))
    context.set_alpn_protocols(["http/1.1"])
    return context
