"""One SSH connection: let in, logged in, its sessions, its end."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any, cast

import asyncssh

from s3sftp import backends
from s3sftp.auth import Authenticator, Bans, plain, source_of
from s3sftp.ssh import quirks
from s3sftp.ssh.admission import Admission, Refusal, Ticket
from s3sftp.ssh.login import Login
from s3sftp.ssh.options import SshOptions
from s3sftp.ssh.refusals import NothingButSessions
from s3sftp.ssh.sessions import OpenSession, ServerSession
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.sparse import Sparse

_log = get_logger("s3sftp.ssh")
_END_SECONDS = 5.0
"""How long a session may take to end before its connection is closed under it."""


@dataclass(slots=True)
class Shared:
    """What all connections of a listener have in common."""

    options: SshOptions
    authenticator: Authenticator
    bans: Bans
    admission: Admission
    open_session: OpenSession
    connections: dict[Ticket, Connection] = field(default_factory=dict)
    refusals: Sparse = field(default_factory=Sparse)
    stopping: bool = False


class Connection(NothingButSessions):
    """asyncssh's callbacks for one connection."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._id = secrets.token_hex(6)
        self._conn: asyncssh.SSHServerConnection | None = None
        self._peer = ""
        self._source = ""
        self._ticket: Ticket | None = None
        self._login = Login(shared.authenticator, shared.bans, shared.options, self._id)
        self._user = ""
        self._sessions: dict[ServerSession, asyncio.Task[None]] = {}
        self._opened = 0
        self._paused = False
        self._idle: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    # -- before login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        peer = conn.get_extra_info("peername") or ("", 0)
        address = plain(peer[0])
        self._peer = f"[{address}]:{peer[1]}" if ":" in address else f"{address}:{peer[1]}"
        self._source = source_of(address)
        self._login.comes_from(address, self._source)
        answer = self._admit()
        if isinstance(answer, Refusal):
            self._refuse(answer)
            return
        self._ticket = answer
        self._shared.connections[answer] = self
        quirks.on_transport_pressure(conn, self._pause_sessions, self._resume_sessions)
        _log.info("connection accepted", connection=self._id, peer=self._peer)
        if answer.expels is not None and (expelled := self._shared.connections.get(answer.expels)):
            expelled.abort("made room for others before login")

    def _admit(self) -> Ticket | Refusal:
        now = asyncio.get_running_loop().time()
        if self._shared.stopping:
            return Refusal("the server is stopping")
        if self._shared.bans.banned(self._source, now):
            return Refusal("the source is banned")
        return self._shared.admission.arrive(self._source, now)

    def _refuse(self, refusal: Refusal) -> None:
        """Close before the first byte: no key exchange, no cryptography, nothing to guess from."""
        untold = self._shared.refusals.tell(refusal.reason, asyncio.get_running_loop().time())
        if untold is not None:
            _log.warning("connection refused", peer=self._peer, reason=refusal.reason, untold=untold)
        self._open_conn.abort()

    def begin_auth(self, username: str) -> bool:
        self._user = username
        self._login.next_name()
        return True

    def password_auth_supported(self) -> bool:
        return self._shared.authenticator.accepts_passwords

    def public_key_auth_supported(self) -> bool:
        return self._shared.authenticator.accepts_public_keys

    async def validate_password(self, username: str, password: str) -> bool:
        return await self._login.password(username, password)

    async def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        """Refused, after as much work as for a password, so that it is no cheaper way to ask."""
        await self._login.password(username, old_password)
        self._login.proof = None
        return False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return await self._login.public_key(username, key)

    def auth_completed(self) -> None:
        proof, ticket = self._login.proof, self._ticket
        if proof is None or ticket is None:
            raise asyncssh.DisconnectError(asyncssh.DISC_PROTOCOL_ERROR, "not authenticated")
        refusal = self._shared.admission.log_in(ticket, proof.identity.user)
        if refusal is not None:
            _log.warning(
                "login refused", connection=self._id, peer=self._peer, user=self._user, reason=refusal.reason
            )
            raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal.reason)
        _log.info(
            "logged in",
            connection=self._id,
            peer=self._peer,
            user=proof.identity.user,
            method=proof.method,
            key=proof.fingerprint,
            client=self._open_conn.get_extra_info("client_version"),
            cipher=self._open_conn.get_extra_info("send_cipher"),
        )
        self._watch_idleness()

    # -- sessions

    def session_requested(self) -> Any:
        proof = self._login.proof
        if proof is None or self._shared.stopping:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the server is stopping")
        if len(self._sessions) >= self._shared.options.max_sessions_per_connection:
            self.refused("session beyond the limit")
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, "too many sessions on this connection"
            )
        channel = self._open_conn.create_server_channel(
            encoding=None, window=self._shared.options.window_bytes
        )
        quirks.refuse_requests(channel, self.refused)
        session = self._shared.open_session(proof.identity, self._describe(proof.identity.attributes))
        self._follow(session, channel)
        return channel, cast("asyncssh.SSHServerSession[bytes]", session)

    def _describe(self, attributes: Any) -> backends.Session:
        self._opened += 1
        return backends.Session(
            user=self._user,
            peer=self._peer,
            client_version=str(self._open_conn.get_extra_info("client_version", "")).removeprefix("SSH-2.0-"),
            session_id=f"{self._id}.{self._opened}",
            attributes=attributes,
        )

    def _follow(self, session: ServerSession, channel: Any) -> None:
        async def until_closed() -> None:
            await channel.wait_closed()
            self._sessions.pop(session, None)
            self._watch_idleness()

        if self._idle is not None:
            self._idle.cancel()
        self._sessions[session] = asyncio.create_task(until_closed())
        if self._paused:
            session.transport_paused()

    def _pause_sessions(self) -> None:
        self._paused = True
        for session in list(self._sessions):
            session.transport_paused()

    def _resume_sessions(self) -> None:
        self._paused = False
        for session in list(self._sessions):
            session.transport_resumed()

    def _watch_idleness(self) -> None:
        limit = self._shared.options.idle_connection.total_seconds()
        if self._idle is not None:
            self._idle.cancel()
        if limit and not self._sessions and not self._closed.is_set():
            self._idle = asyncio.get_running_loop().call_later(
                limit, self.disconnect, "idle without a session"
            )

    def refused(self, what: str) -> None:
        untold = self._shared.refusals.tell(what, asyncio.get_running_loop().time())
        if untold is not None:
            _log.warning("request refused", connection=self._id, user=self._user, request=what, untold=untold)

    # -- the end

    @property
    def authenticated(self) -> bool:
        return self._ticket is not None and self._ticket.user is not None

    @property
    def busy(self) -> bool:
        """Whether a session of it has something under way."""
        return any(session.busy for session in self._sessions)

    async def end_sessions(self, reason: str, *, only_idle: bool = False) -> None:
        """End its sessions; with `only_idle` those that have nothing under way."""
        ending = [session for session in self._sessions if not (only_idle and session.busy)]
        await asyncio.gather(*(self._end(session, reason) for session in ending))

    async def _end(self, session: ServerSession, reason: str) -> None:
        try:
            await asyncio.wait_for(session.end(reason), _END_SECONDS)
        except TimeoutError:
            _log.error("session did not end in time", connection=self._id, user=self._user)
        except Exception:
            _log.exception("session did not end cleanly", connection=self._id, user=self._user)

    def disconnect(self, reason: str) -> None:
        """Say goodbye and close."""
        self._open_conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    def abort(self, reason: str) -> None:
        """Close at once."""
        _log.info("connection aborted", connection=self._id, peer=self._peer, reason=reason)
        self._open_conn.abort()

    async def wait_closed(self) -> None:
        """Wait until it is closed and its sessions have let go."""
        await self._closed.wait()
        await asyncio.gather(*self._sessions.values(), return_exceptions=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._closed.set()
        if self._ticket is None:
            return
        self._shared.admission.leave(self._ticket)
        self._shared.connections.pop(self._ticket, None)
        if not self.authenticated:
            self._login.left_outside(self._user)
        _log.info(
            "connection closed",
            connection=self._id,
            peer=self._peer,
            user=self._user or None,
            authenticated=self.authenticated,
            reason=str(exc) if exc else None,
        )

    @property
    def _open_conn(self) -> asyncssh.SSHServerConnection:
        if self._conn is None:
            raise RuntimeError("no connection was made")
        return self._conn
