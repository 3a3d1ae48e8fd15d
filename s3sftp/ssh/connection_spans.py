"""The spans of one connection: its own, and one for each attempt to log in below it.

    ssh.connection
    ├─ ssh.userauth    each password, code and key
    │  └─ POST         the request to the hook
    └─ sftp.session    sftp/request_spans.py

A connection has a span once its client has sent its version: the health checks of load balancers have none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from s3sftp.ssh.admission_gate import Peer
from s3sftp.telemetry import NO_SPAN, open_span, span

T = TypeVar("T")


class ConnectionSpans:
    """The spans of one connection."""

    def __init__(self, connection_id: str) -> None:
        self._id = connection_id
        self._began = time.time_ns()
        self._span = NO_SPAN

    def identified(self, conn: Any, peer: Peer) -> None:
        """Begin the connection's span, because its client has sent its version."""
        attributes: dict[str, AttributeValue] = {
            "s3sftp.connection_id": self._id,
            "network.transport": "tcp",
            "network.protocol.name": "ssh",
            "client.address": peer.address,
            "client.port": peer.port,
        }
        for kind, name in (("network.peer", "peername"), ("server", "sockname")):
            address = conn.get_extra_info(name)
            if address:
                attributes |= {f"{kind}.address": address[0], f"{kind}.port": address[1]}
        self._span = open_span("ssh.connection", attributes, start_time=self._began)

    async def attempt(self, method: str, user: str, verified: Awaitable[T]) -> T:
        """Await the verification of an attempt to log in, in a span of its own."""
        with span("ssh.userauth", lambda: self._of_attempt(method, user), parent=self._span) as current:
            result = await verified
            current.set_attribute("s3sftp.auth.accepted", result is True)
        return result

    def logged_in(self, user: str, method: str) -> None:
        """Note who has logged in, and how."""
        self._span.set({"user.name": user, "s3sftp.auth.method": method})

    def current(self) -> AbstractContextManager[Span]:
        """A block in which the connection's span is the current one, for spans of sessions."""
        return self._span.current()

    def end(self, client: Any, error: Exception | None) -> None:
        """End the span. `error`: why the connection was lost, if the client has not closed it."""
        if client:
            self._span.set({"user_agent.original": str(client)})
        self._span.end(error, is_failure=False)

    def _of_attempt(self, method: str, user: str) -> dict[str, AttributeValue]:
        return {"s3sftp.auth.method": method, "user.name": user, "s3sftp.connection_id": self._id}
