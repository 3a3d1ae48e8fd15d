"""The sessions of one connection, and the contract between the connection and each of them.

open ─► the session runs in its channel ─► the channel closes: forgotten
             │ pause, resume: the connection's socket is full, or accepts bytes again
             └ end: the session finishes what was promised, and closes its channel
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from s3sftp import backends
from s3sftp.auth import Identity
from s3sftp.sftp import SessionActivity
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metric_catalogue import SESSIONS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")
_END_SECONDS = 5.0
"""Seconds that a session may take to end before its connection is closed, in addition to what it needs to
answer CLOSEs that have arrived."""


class ServerSession(Protocol):
    """A session in one channel: an `asyncssh.SSHServerSession` that the listener can end."""

    @property
    def busy(self) -> bool:
        """Whether a transfer or a request is under way, for which a stopping server waits."""

    @property
    def activity(self) -> SessionActivity:
        """What it is doing now, for the operator."""

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


class ConnectionSessions:
    """The sessions of one connection, until their channels are closed."""

    def __init__(
        self, connection_id: str, open_session: OpenSession, metrics: Metrics, closed: Callable[[], None]
    ) -> None:
        """`closed` is called when a session's channel has closed."""
        self._connection_id = connection_id
        self._open_session = open_session
        self._count = metrics.add
        self._closed = closed
        self._sessions: dict[ServerSession, asyncio.Task[None]] = {}
        self._described: dict[ServerSession, backends.Session] = {}
        self._paused = False

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def busy(self) -> bool:
        """Whether any of them has something under way."""
        return any(session.busy for session in self._sessions)

    def open(self, identity: Identity, described: backends.Session, channel: Any) -> ServerSession:
        """Open a session in a channel of asyncssh."""
        session = self._open_session(identity, described)
        self._described[session] = described
        self._sessions[session] = asyncio.create_task(self._until_closed(session, channel))
        self._count(SESSIONS.row())
        if self._paused:
            session.transport_paused()
        return session

    async def _until_closed(self, session: ServerSession, channel: Any) -> None:
        await channel.wait_closed()
        self._sessions.pop(session, None)
        self._described.pop(session, None)
        self._count(SESSIONS.row(), -1)
        self._closed()

    def described(self) -> list[tuple[backends.Session, SessionActivity]]:
        """The open ones, and what each is doing."""
        return [(described, session.activity) for session, described in self._described.items()]

    def pause(self) -> None:
        """The connection's socket is full: have all of them stop producing."""
        self._paused = True
        for session in list(self._sessions):
            session.transport_paused()

    def resume(self) -> None:
        """The connection's socket accepts bytes again."""
        self._paused = False
        for session in list(self._sessions):
            session.transport_resumed()

    async def end(self, reason: str, user: str, *, only_idle: bool) -> None:
        """End them; with `only_idle` only those with nothing under way. `user` is for the log."""
        ending = [session for session in self._sessions if not (only_idle and session.busy)]
        await asyncio.gather(*(self._end(session, reason, user) for session in ending))

    async def _end(self, session: ServerSession, reason: str, user: str) -> None:
        try:
            await asyncio.wait_for(session.end(reason), session.commit_seconds + _END_SECONDS)
        except TimeoutError:
            _log.error("session.end_timed_out", connection=self._connection_id, user=user)
        except Exception:
            _log.exception("session.end_failed", connection=self._connection_id, user=user)

    async def wait_closed(self) -> None:
        """Wait until all channels are closed."""
        await asyncio.gather(*self._sessions.values(), return_exceptions=True)
