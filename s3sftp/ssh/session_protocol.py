"""What the listener needs to know of the sessions that run in its channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from s3sftp import backends
from s3sftp.auth import Identity


class ServerSession(Protocol):
    """A session in one channel: an `asyncssh.SSHServerSession` that can be told to end."""

    @property
    def busy(self) -> bool:
        """Whether a transfer or a request is under way, for which a stopping server waits."""

    @property
    def commit_seconds(self) -> float:
        """How long `end` may take to answer what it must: whether files are stored whose CLOSE has come."""

    async def end(self, reason: str) -> None:
        """Finish what was promised, abort what else is not finished, and close the channel. May be called
        twice."""

    def transport_paused(self) -> None:
        """The connection's socket takes no more: stop producing."""

    def transport_resumed(self) -> None:
        """The connection's socket takes bytes again."""

    # asyncssh calls these; the rest has defaults there
    def connection_made(self, chan: Any) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def data_received(self, data: bytes, datatype: Any) -> None: ...


OpenSession = Callable[[Identity, backends.Session], ServerSession]
"""Makes the session for a new channel of a user who is logged in."""
