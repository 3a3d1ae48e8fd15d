"""Limits the number of connections to the admin port, and the bytes and time of each.

Health checks must be answered while others hold connections, or the orchestrator would restart the server. So
a new connection is always accepted, and the oldest is closed to make room for it.
"""

from __future__ import annotations

import asyncio
from typing import cast

MAX_CONNECTIONS = 32
MAX_SECONDS = 10.0
"""Maximum duration of a connection, with request and answer."""
_MAX_BYTES = 32 << 10
"""Maximum size of a request. The requests that are served have no body."""


class ConnectionLimits:
    """The open connections, the oldest first."""

    def __init__(self) -> None:
        self._connections: dict[LimitedProtocol, None] = {}

    def add(self, connection: LimitedProtocol) -> None:
        self._connections[connection] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).abort()

    def remove(self, connection: LimitedProtocol) -> None:
        self._connections.pop(connection, None)

    def close(self) -> None:
        """Close all connections that have no answer yet."""
        for connection in list(self._connections):
            connection.abort()


class LimitedProtocol(asyncio.Protocol):
    """A protocol that is aborted when it exceeds a limit."""

    def __init__(self, inner: asyncio.Protocol, limits: ConnectionLimits) -> None:
        self._inner = inner
        self._limits = limits
        self._received = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close the connection at once, even in the middle of an answer."""
        self._limits.remove(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(MAX_SECONDS, self.abort)
        self._limits.add(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MAX_BYTES:
            self.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._inner.eof_received()
        return self._received > 0  # a client may close its side after a request and get the answer

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._limits.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._inner.connection_lost(error)
