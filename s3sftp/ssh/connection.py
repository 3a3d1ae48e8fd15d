"""One SSH connection: admission, login, its sessions, its end.

    connection_made ─► _greeted ─► begin_auth … auth_completed ─► session_requested … ─► connection_lost
     admitted by the    client       logged in, and counted        SFTP sessions          all is released
     gate, or closed    version      by the gate                   (ssh/session_protocol.py)
                        received

The methods are in that order.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import asyncssh

from s3sftp import backends
from s3sftp.auth import AuthGateway, Identity
from s3sftp.ssh import asyncssh_internals, openssh_tolerance, packet_fast_path, proxy_header
from s3sftp.ssh.admission import Refusal
from s3sftp.ssh.admission_gate import AdmissionGate, AdmittedConnection
from s3sftp.ssh.algorithm_mismatch import mismatches
from s3sftp.ssh.keepalive import Keepalive
from s3sftp.ssh.login import Login
from s3sftp.ssh.negotiated_algorithms import agreement, note_agreement
from s3sftp.ssh.options import SshOptions
from s3sftp.ssh.session_protocol import OpenSession, ServerSession
from s3sftp.ssh.sftp_only import USUAL, ChannelRequests, SftpOnlyServer, refuse_cancellations
from s3sftp.ssh.signature_algorithms import prove_host_keys
from s3sftp.ssh.silent_clients import TELL_SECONDS, ClientSigns
from s3sftp.ssh.tcp_watch import TcpWatch
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import CONNECTIONS, CONNECTIONS_TOTAL, LOGINS, SESSIONS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")
_END_SECONDS = 5.0
"""Seconds that a session may take to end before its connection is closed, in addition to what it needs to
answer CLOSEs that have arrived."""

_TURN_ON = (
    "if this is your load balancer, set listen.proxy_protocol and add its address to listen.proxy_sources"
)
_TWO_HEADERS = "a second header followed the first: only the load balancer next to the server may send one"

_LEAVE_SECONDS = 2.0
"""Seconds that a client may take to disconnect by itself once its sessions have ended."""
_STOPPING = "the server is stopping"
_MAX_MISPLACED = 100
"""Messages out of place before the login: working clients send one or two."""


@dataclass(slots=True)
class ListenerContext:
    """What all connections of a listener share."""

    options: SshOptions
    asking: AuthGateway
    door: AdmissionGate
    open_session: OpenSession
    sessions_idle: timedelta
    """How long a session may be idle before it ends; 0: without limit."""
    host_keys: Sequence[asyncssh.SSHKeyPair] = ()
    connections: set[SshConnection] = field(default_factory=set)
    refusals: LogThrottle = field(default_factory=LogThrottle)
    clientless: LogThrottle = field(default_factory=lambda: LogThrottle(TELL_SECONDS))
    fast_packets: bool = False
    stopping: bool = False
    metrics: Metrics = field(default_factory=Metrics)


class SshConnection(SftpOnlyServer):
    """asyncssh's callbacks for one connection."""

    def __init__(self, shared: ListenerContext) -> None:
        self._shared = shared
        self._id = secrets.token_hex(6)
        self._conn: asyncssh.SSHServerConnection | None = None
        self._peer = ""
        self._is_proxys_own = False
        self._signs = ClientSigns()
        self._guest: AdmittedConnection | None = None
        self._counted: asyncio.Future[Refusal | None] | None = None
        self._count = shared.metrics.add
        self._login = Login(shared.asking, shared.options, self._id, shared.metrics)
        self._user = ""
        self._service_requests = 0
        self._misplaced = 0
        self._sessions: dict[ServerSession, asyncio.Task[None]] = {}
        self._opening = 0
        """Sessions that wait for the gate's answer to the login."""
        self._opened = 0
        self._keepalive: Keepalive | None = None
        self._tcp_watch: TcpWatch | None = None
        self._paused = False
        self._leaving = ""
        """Why the server ends the connection; empty if it does not."""
        self._idle: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    # -- before login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self._shared.fast_packets:
            packet_fast_path.use_fast_path(conn)
        openssh_tolerance.tolerate(conn)
        refuse_cancellations(conn, self.refused)
        self._conn = conn
        note_agreement(conn)
        guest = self._shared.door.arrive(conn, self.abort)
        if guest is None:
            # before the first byte: no key exchange, no cryptography, no login to guess
            conn.abort()
            return
        self._guest = guest
        self._peer = guest.peer.shown
        self._is_proxys_own = guest.peer.is_proxys_own
        if guest.peer.proxy:
            asyncssh_internals.comes_from(conn, guest.peer.address, guest.peer.port)
        self._login.comes_from(guest.peer, guest)
        asyncssh_internals.on_version(conn, self._greeted, self._look_for_header)
        self._shared.connections.add(self)
        self._count(CONNECTIONS.row())
        self._count(CONNECTIONS_TOTAL.row("accepted"))
        asyncssh_internals.refuse_passwords_that_are_no_text(conn)
        asyncssh_internals.refuse_long_logins(conn)
        asyncssh_internals.offer_as_sshd_does(conn)
        prove_host_keys(conn, self._shared.host_keys)
        self._tcp_watch = TcpWatch(
            conn.get_extra_info("socket"), self._shared.options.tcp_timeout.total_seconds()
        )
        self._keepalive = Keepalive(conn, self._shared.options, self._shared.sessions_idle, self.abort)
        asyncssh_internals.on_transport_pressure(conn, self._pause_sessions, self._resume_sessions)
        self._tell("connection.opened", **guest.peer.fields)

    def _greeted(self) -> None:
        """Record that the client has sent its version."""
        if self._guest is None:
            return
        self._signs.is_client = True
        self._guest.greeted()
        self._tell("connection.identified", **self._guest.peer.fields)

    def _look_for_header(self, begins: bytes) -> None:
        """Inspect first bytes that are not the client's version, or not all of it."""
        self._signs.has_sent |= bool(begins)
        if not proxy_header.begins_one(begins):
            return
        self._signs.has_header = True
        untold = self._shared.refusals.tell("PROXY header", asyncio.get_running_loop().time())
        if untold is not None and self._guest is not None:
            peer = self._guest.peer
            behind = peer.proxy or peer.is_proxys_own
            advice = _TWO_HEADERS if behind else _TURN_ON
            _log.warning(
                "connection.proxy_header_unexpected", connection=self._id, **peer.fields, advice=advice
            )

    def _tell(self, event: str, **fields: Any) -> None:
        """Log an event; at debug level while no SSH client has shown itself, such as for health checks."""
        is_check = not self._signs.is_client or (self._is_proxys_own and not self.authenticated)
        tell = _log.debug if is_check else _log.info
        tell(event, connection=self._id, **fields)

    def service_requested(self) -> None:
        """Handle another request for the authentication service.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._service_requests += 1
        limits = self._shared.options
        if self._service_requests > limits.max_auth_attempts + limits.max_key_offers:
            raise asyncssh.DisconnectError(asyncssh.DISC_PROTOCOL_ERROR, "Too many service requests")

    def misplaced(self) -> None:
        """Handle a message that is out of place before the login.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._misplaced += 1
        if self._misplaced > _MAX_MISPLACED:
            raise asyncssh.DisconnectError(asyncssh.DISC_PROTOCOL_ERROR, "Too many unexpected messages")

    def begin_auth(self, username: str) -> bool:
        self._user = username
        self._login.next_name(username)
        return True

    def password_auth_supported(self) -> bool:
        return self._shared.asking.accepts_passwords and self._login.may_try("password")

    def kbdint_auth_supported(self) -> bool:
        asking = self._shared.asking
        return (asking.accepts_passwords or asking.accepts_codes) and self._login.may_try("password", "totp")

    def public_key_auth_supported(self) -> bool:
        return self._shared.asking.accepts_public_keys and self._login.may_try("publickey")

    def take_partial_success(self) -> bool:
        """Whether the attempt that is being answered has proven one factor of several."""
        return self._login.take_partial_success()

    async def validate_password(self, username: str, password: str) -> bool:
        return await self._login.password(username, password)

    async def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        """Always refused, at the cost of a password check, so that it is no cheaper way to test passwords."""
        await self._login.old_password(username, old_password)
        return False

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        question = self._login.question()
        asyncssh_internals.take_any_response(self._open_conn)
        return _prompt(question)

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        if await self._login.response(username, responses):
            return True
        question = self._login.following_question()
        return _prompt(question) if question is not None else False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return await self._login.public_key(username, key)

    def auth_completed(self) -> None:
        proof, guest = self._login.proof, self._guest
        if proof is None or guest is None:
            raise asyncssh.DisconnectError(asyncssh.DISC_PROTOCOL_ERROR, "not authenticated")
        self._counted = guest.log_in(proof.identity.user)
        if not self._counted.done():
            self._counted.add_done_callback(self._on_counted)
        elif (refusal := self._welcome(self._counted)) is not None:
            raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal.reason)

    def _on_counted(self, counted: asyncio.Future[Refusal | None]) -> None:
        if self._closed.is_set() or counted.cancelled():
            return
        if (refusal := self._welcome(counted)) is not None:
            self._open_conn.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal.reason)

    def _welcome(self, counted: asyncio.Future[Refusal | None]) -> Refusal | None:
        """Log the gate's answer to the login."""
        refusal, proof = counted.result(), self._login.proof
        if refusal is not None or proof is None:
            _log.warning(
                "login.refused",
                connection=self._id,
                peer=self._peer,
                user=self._user,
                reason=refusal.reason if refusal else None,
            )
            if proof is not None:
                self._count(LOGINS.row(proof.last_method, "refused"))
            return refusal
        self._count(LOGINS.row(proof.last_method, "accepted"))
        _log.info(
            "login.accepted",
            connection=self._id,
            peer=self._peer,
            user=proof.identity.user,
            method=proof.method,
            key=proof.fingerprint,
            client=self._open_conn.get_extra_info("client_version"),
            **agreement(self._open_conn),
        )
        self._watch_idleness()
        self._alive.start()
        return None

    def answered(self) -> None:
        """Record an answer of the client, requested or not."""
        self._alive.answered()

    # -- sessions

    def session_requested(self) -> Any:
        proof = self._login.proof
        if proof is None or self._shared.stopping or self._leaving:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, self._leaving or _STOPPING)
        address = self._guest.peer.address if self._guest else ""
        if (refusal := proof.identity.rules.refusal(address, datetime.now(UTC))) is not None:
            self.refused("session at a time that the user's rules exclude")
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, refusal)
        if len(self._sessions) + self._opening >= self._shared.options.max_sessions_per_connection:
            self.refused("session beyond the limit")
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, "too many sessions on this connection"
            )
        channel = self._open_conn.create_server_channel(
            encoding=None, window=self._shared.options.window_bytes
        )
        openssh_tolerance.tolerate_on_channel(channel)
        ChannelRequests(self._open_conn, channel, self.refused, self._alive.answer)
        asyncssh_internals.refuse_tiny_packets(channel)
        if self._counted is None or not self._counted.done():
            self._opening += 1
            return channel, self._open_when_counted(proof.identity, channel)
        return channel, self._open(proof.identity, channel)

    async def _open_when_counted(self, identity: Identity, channel: Any) -> asyncssh.SSHServerSession[bytes]:
        """Open a session once the gate has counted the login; until then the client can do nothing."""
        try:
            refusal = await asyncio.shield(self._counted) if self._counted else None
        except asyncio.CancelledError:
            refusal = Refusal(_STOPPING)
        finally:
            self._opening -= 1
        if refusal is None and (self._shared.stopping or self._leaving or self._closed.is_set()):
            refusal = Refusal(self._leaving or _STOPPING)
        if refusal is not None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, refusal.reason)
        return self._open(identity, channel)

    def _open(self, identity: Identity, channel: Any) -> asyncssh.SSHServerSession[bytes]:
        session = self._shared.open_session(identity, self._describe(identity))
        self._follow(session, channel)
        return cast("asyncssh.SSHServerSession[bytes]", session)

    def _describe(self, identity: Identity) -> backends.Session:
        self._opened += 1
        return backends.Session(
            user=identity.user,
            peer=self._peer,
            client_version=str(self._open_conn.get_extra_info("client_version", "")).removeprefix("SSH-2.0-"),
            session_id=f"{self._id}.{self._opened}",
            attributes=identity.attributes,
        )

    def _follow(self, session: ServerSession, channel: Any) -> None:
        async def until_closed() -> None:
            await channel.wait_closed()
            self._sessions.pop(session, None)
            self._count(SESSIONS.row(), -1)
            self._watch_idleness()

        if self._idle is not None:
            self._idle.cancel()
        self._sessions[session] = asyncio.create_task(until_closed())
        self._count(SESSIONS.row())
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
            tell = _log.debug if what in USUAL else _log.warning
            tell(
                "connection.request_refused",
                connection=self._id,
                user=self._user,
                request=what,
                suppressed=untold,
            )

    # -- the end

    @property
    def authenticated(self) -> bool:
        """Whether the client has authenticated."""
        return self._counted is not None

    @property
    def busy(self) -> bool:
        """Whether any of its sessions has something under way."""
        return any(session.busy for session in self._sessions)

    async def end_sessions(self, reason: str, *, only_idle: bool = False) -> None:
        """End its sessions; with `only_idle` only those with nothing under way."""
        ending = [session for session in self._sessions if not (only_idle and session.busy)]
        await asyncio.gather(*(self._end(session, reason) for session in ending))

    async def _end(self, session: ServerSession, reason: str) -> None:
        try:
            await asyncio.wait_for(session.end(reason), session.commit_seconds + _END_SECONDS)
        except TimeoutError:
            _log.error("session.end_timed_out", connection=self._id, user=self._user)
        except Exception:
            _log.exception("session.end_failed", connection=self._id, user=self._user)

    @property
    def proved_to_be(self) -> str:
        """The user who has authenticated, even if the login is not complete yet; empty if nobody has."""
        proof = self._login.proof
        return proof.identity.user if proof else ""

    def reason_to_end(self, now: datetime) -> str | None:
        """Why a user who has logged in must leave by now; None if there is no reason, or it is leaving."""
        proof = self._login.proof
        return proof.identity.rules.end(now) if proof and not self._leaving else None

    def send_away(self, reason: str) -> Coroutine[Any, Any, None]:
        """Refuse new sessions from now on. The returned coroutine ends the running ones, as when the server
        stops, and then the connection."""
        self._leaving = reason
        _log.info(
            "connection.ending", connection=self._id, peer=self._peer, user=self.proved_to_be, reason=reason
        )
        return self._leave(reason)

    async def _leave(self, reason: str) -> None:
        if not self.authenticated:
            self.abort(reason)
            return
        await self.end_sessions(reason)
        try:
            await asyncio.wait_for(self._closed.wait(), _LEAVE_SECONDS)
        except TimeoutError:
            self.disconnect(reason)

    def disconnect(self, reason: str) -> None:
        """Send a DISCONNECT and close."""
        self._open_conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._tell("connection.aborted", peer=self._peer, reason=reason)
        self._open_conn.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed and its sessions have released everything."""
        await self._closed.wait()
        await asyncio.gather(*self._sessions.values(), return_exceptions=True)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._closed.set()
        for watch in (self._keepalive, self._tcp_watch):
            if watch is not None:
                watch.stop()
        if self._guest is None:
            return
        self._shared.connections.discard(self)
        self._count(CONNECTIONS.row(), -1)
        if not self.authenticated:
            self._tell_mismatch()
            self._login.left_outside(self._user)
            self._signs.tell_end(self._guest.peer, self._shared.clientless)
        self._guest.leave()
        self._tell(
            "connection.closed",
            peer=self._peer,
            user=self._user or None,
            authenticated=self.authenticated,
            reason=str(exc) if exc else None,
        )

    def _tell_mismatch(self) -> None:
        """Log a lack of common algorithms, if there is one: the client may have detected it first and
        disconnected."""
        of_host_keys = {pair.algorithm.decode("ascii") for pair in self._shared.host_keys}
        kexinit = asyncssh_internals.kexinit_of(self._open_conn)
        for found in mismatches(kexinit, self._shared.options.offer, of_host_keys):
            _log.warning(
                "connection.negotiation_failed",
                connection=self._id,
                peer=self._peer,
                client=self._open_conn.get_extra_info("client_version"),
                missing=found.missing,
                offered=found.offered,
                advice=found.advice,
            )

    @property
    def _open_conn(self) -> asyncssh.SSHServerConnection:
        if self._conn is None:
            raise RuntimeError("no connection was made")
        return self._conn

    @property
    def _alive(self) -> Keepalive:
        if self._keepalive is None:
            raise RuntimeError("the connection was not let in")
        return self._keepalive


def _prompt(question: str) -> tuple[str, str, str, Sequence[tuple[str, bool]]]:
    """A keyboard-interactive request with one question, whose answer is not shown."""
    return "", "", "", ((question, False),)
