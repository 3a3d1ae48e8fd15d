"""The contract between the listener and the sessions in its channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from s3sftp import backends
from s3sftp.auth import Identity


class ServerSession(Protocol):
    """A session in one channel: an `asyncssh.SSHServerSession` that the listener can end."""

    @property
    def busy(self) -> bool:
        """Whether a transfer or a request is under way, for which a stopping server waits."""

    @property
    def commit_seconds(self) -> float:
        """How long `end` may take to answer the CLOSEs that have arrived, whose files are being committed."""

    async def end(self, reason: str) -> None:
        """Finish what was promised, abort everything else that is unfinished, and close the channel. May be
        called twice."""

    def transport_paused(self) -> None:
        """The connection's socket is full: stop producing."""

    def transport_resumed(self) -> None:
        """The connection's socket accepts bytes again."""

    # called by asyncssh, which has defaults for its other callbacks
    def connection_made(self, chan: Any) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def data_received(self, data: bytes, datatype: Any) -> None: ...


OpenSession = Callable[[Identity, backends.Session], ServerSession]
"""Creates the session for a new channel of a user who has logged in."""
