"""One SSH connection: admission, login, its sessions, its end.

    connection_made ─► begin_auth … auth_completed ─► session_requested … ─► connection_lost
     admitted by the     logged in, and counted        SFTP sessions          all is released
     gate, or closed     by the gate                   (ssh/sessions.py)

The methods are in that order.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import asyncssh

from s3sftp import backends
from s3sftp.auth import AuthGateway, Identity, Limits
from s3sftp.sftp import SessionActivity
from s3sftp.ssh import asyncssh_internals, openssh_tolerance, packet_fast_path
from s3sftp.ssh.admission import TOO_MANY_SESSIONS, Refusal
from s3sftp.ssh.admission_gate import AdmissionGate, AdmittedConnection
from s3sftp.ssh.connection_spans import ConnectionSpans
from s3sftp.ssh.keepalive import Keepalive, TcpWatch
from s3sftp.ssh.late_kexinit import LateKexInit, wait_for_client
from s3sftp.ssh.login import Login, LoginProof, TellLogin, certificate_fields, tell_nobody
from s3sftp.ssh.negotiation import agreement, mismatches, note_agreement
from s3sftp.ssh.options import SshOptions
from s3sftp.ssh.sessions import ConnectionSessions, OpenSession
from s3sftp.ssh.sftp_only import USUAL, ChannelRequests, SftpOnlyServer, refuse_cancellations
from s3sftp.ssh.signature_algorithms import prove_host_keys
from s3sftp.ssh.silent_clients import LOG_SECONDS, ClientSigns
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import CONNECTIONS, CONNECTIONS_TOTAL, LIMITS_REACHED, LOGINS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")
_LEAVE_SECONDS = 2.0
"""Seconds that a client may take to disconnect by itself once its sessions have ended."""
_STOPPING = "the server is stopping"
_NOT_NOW = "the account may not be used now"
"""All that a client learns of why its user must leave; the log has the reason."""
_MAX_MISPLACED = 100
"""Messages out of place before the login: working clients send one or two."""


@dataclass(slots=True)
class ListenerContext:
    """What all connections of a listener share."""

    options: SshOptions
    auth: AuthGateway
    gate: AdmissionGate
    open_session: OpenSession
    sessions_idle: timedelta
    """How long a session may be idle before it ends; 0: without limit."""
    limits_of: Callable[[Identity], Limits]
    """The limits that hold for a user now."""
    host_keys: Sequence[asyncssh.SSHKeyPair] = ()
    connections: set[SshConnection] = field(default_factory=set)
    refusals: LogThrottle = field(default_factory=LogThrottle)
    clientless: LogThrottle = field(default_factory=lambda: LogThrottle(LOG_SECONDS))
    fast_packets: bool = False
    stopping: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    tell_login: TellLogin = tell_nobody


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that is open, at one moment."""

    session: backends.Session
    method: str
    """How its user has logged in, see `LoginProof.method`."""
    activity: SessionActivity


class SshConnection(SftpOnlyServer):
    """asyncssh's callbacks for one connection."""

    def __init__(self, shared: ListenerContext) -> None:
        self._shared = shared
        self._id = secrets.token_hex(6)
        self._spans = ConnectionSpans(self._id)
        self._conn: asyncssh.SSHServerConnection | None = None
        self._peer = ""
        self._is_proxys_own = False
        self._signs = ClientSigns()
        self._admitted: AdmittedConnection | None = None
        self._counted: asyncio.Future[Refusal | None] | None = None
        self._count = shared.metrics.add
        self._login = Login(shared.auth, shared.options, self._id, shared.metrics, shared.tell_login)
        self._user = ""
        self._service_requests = 0
        self._misplaced = 0
        self._sessions = ConnectionSessions(
            self._id, shared.open_session, shared.metrics, self._session_closed
        )
        self._opening = 0
        """Sessions that wait for the gate's answers."""
        self._opened = 0
        self._keepalive: Keepalive | None = None
        self._tcp_watch: TcpWatch | None = None
        self._late_kexinit: LateKexInit | None = None
        self._leaving = ""
        """Why the server ends the connection, for the client; empty if it does not."""
        self._idle: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    # -- before login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        if self._shared.fast_packets:
            packet_fast_path.use_fast_path(conn)
        asyncssh_internals.log_what_is_read(conn)
        openssh_tolerance.tolerate(conn)
        refuse_cancellations(conn, self.refused)
        self._conn = conn
        note_agreement(conn)
        admitted = self._shared.gate.arrive(conn, self.abort)
        if admitted is None:
            # before the first byte: no key exchange, no cryptography, no login to guess
            conn.abort()
            return
        self._admitted = admitted
        self._peer = admitted.peer.shown
        self._is_proxys_own = admitted.peer.is_proxys_own
        if admitted.peer.proxy:
            asyncssh_internals.set_client_address(conn, admitted.peer.address, admitted.peer.port)
        self._login.set_peer(admitted.peer, admitted)
        asyncssh_internals.on_version(conn, self._version_received, self._check_for_header)
        if self._shared.options.prefer_aead:
            self._late_kexinit = wait_for_client(conn)
        self._shared.connections.add(self)
        self._count(CONNECTIONS.row())
        self._count(CONNECTIONS_TOTAL.row("accepted"))
        asyncssh_internals.keep_options(conn)
        asyncssh_internals.check_logins(conn)
        asyncssh_internals.take_certificates(conn, self._login.certificate)
        asyncssh_internals.offer_as_sshd_does(conn)
        prove_host_keys(conn, self._shared.host_keys)
        self._tcp_watch = TcpWatch(
            conn.get_extra_info("socket"), self._shared.options.tcp_timeout.total_seconds()
        )
        self._keepalive = Keepalive(conn, self._shared.options, self._shared.sessions_idle, self.abort)
        asyncssh_internals.on_transport_pressure(conn, self._sessions.pause, self._sessions.resume)
        self._log_event("connection.opened", **admitted.peer.fields)

    def _version_received(self) -> None:
        """Record that the client has sent its version."""
        if self._admitted is None:
            return
        self._signs.is_client = True
        self._admitted.version_received()
        self._spans.identified(self._open_conn, self._admitted.peer)
        self._log_event("connection.identified", **self._admitted.peer.fields)

    def _check_for_header(self, begins: bytes) -> None:
        """Inspect first bytes that are not the client's version, or not all of it."""
        if self._admitted is not None:
            self._signs.inspect(begins, self._admitted.peer, self._id, self._shared.refusals)

    def _log_event(self, event: str, **fields: Any) -> None:
        """Log an event; at debug level while no SSH client has shown itself, such as for health checks."""
        is_check = not self._signs.is_client or (self._is_proxys_own and not self.authenticated)
        log = _log.debug if is_check else _log.info
        log(event, connection=self._id, **fields)

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
        return self._shared.auth.accepts_passwords and self._login.may_try("password")

    def kbdint_auth_supported(self) -> bool:
        auth = self._shared.auth
        return (auth.accepts_passwords or auth.accepts_codes) and self._login.may_try("password", "totp")

    def public_key_auth_supported(self) -> bool:
        return self._shared.auth.accepts_public_keys and self._login.may_try("publickey")

    def take_partial_success(self) -> bool:
        """Whether the attempt that is being answered has proven one factor of several."""
        return self._login.take_partial_success()

    async def validate_password(self, username: str, password: str) -> bool:
        return await self._spans.attempt("password", username, self._login.password(username, password))

    async def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        """Always refused, at the cost of a password check, so that it is no cheaper way to test passwords."""
        await self._login.old_password(username, old_password)
        return False

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        question = self._login.question()
        asyncssh_internals.take_any_response(self._open_conn)
        return _prompt(question)

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        response = self._login.response(username, responses)
        if await self._spans.attempt("keyboard-interactive", username, response):
            return True
        question = self._login.following_question()
        return _prompt(question) if question is not None else False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return await self._spans.attempt("publickey", username, self._login.public_key(username, key))

    def auth_completed(self) -> None:
        proof, admitted = self._login.proof, self._admitted
        if proof is None or admitted is None:
            raise asyncssh.DisconnectError(asyncssh.DISC_PROTOCOL_ERROR, "not authenticated")
        self._counted = admitted.log_in(proof.identity.user, self._user)
        if not self._counted.done():
            self._counted.add_done_callback(self._on_counted)
        elif (refusal := self._finish_login(self._counted)) is not None:
            raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal.reason)

    def _on_counted(self, counted: asyncio.Future[Refusal | None]) -> None:
        if self._closed.is_set() or counted.cancelled():
            return
        if (refusal := self._finish_login(counted)) is not None:
            self._open_conn.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal.reason)

    def _finish_login(self, counted: asyncio.Future[Refusal | None]) -> Refusal | None:
        """Log the gate's answer to the login; if it is accepted, watch whether the client stays."""
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
        self._log_accepted(proof)
        self._watch_idleness()
        self._alive.start()
        return None

    def _log_accepted(self, proof: LoginProof) -> None:
        self._count(LOGINS.row(proof.last_method, "accepted"))
        self._spans.logged_in(proof.identity.user, proof.method)
        _log.info(
            "login.accepted",
            connection=self._id,
            peer=self._peer,
            user=proof.identity.user,
            method=proof.method,
            key=proof.fingerprint,
            **certificate_fields(proof.certificate),
            client=self._open_conn.get_extra_info("client_version"),
            **agreement(self._open_conn),
        )
        facts = {"connection": self._id, "method": proof.method}
        self._shared.tell_login(True, proof.identity.user, self._peer, facts)

    def answered(self) -> None:
        """Record an answer of the client, requested or not."""
        self._alive.answered()

    # -- sessions

    def session_requested(self) -> Any:
        proof = self._login.proof
        if proof is None or self._shared.stopping or self._leaving:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, self._leaving or _STOPPING)
        address = self._admitted.peer.client_address if self._admitted else ""
        if proof.identity.login_rules.refusal(address, datetime.now(UTC)) is not None:
            self.refused("session at a time that the user's rules exclude")
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, _NOT_NOW)
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
        most = self._shared.limits_of(proof.identity).max_sessions or 0
        if most or self._counted is None or not self._counted.done():
            self._opening += 1
            return channel, self._open_when_counted(proof.identity, channel, most)
        self._admitted_connection.open_session(0)
        return channel, self._open(proof.identity, channel)

    async def _open_when_counted(
        self, identity: Identity, channel: Any, most: int
    ) -> asyncssh.SSHServerSession[bytes]:
        """Open a session once the gate has counted the login, and then the session; until then the client can
        do nothing."""
        refused_as = asyncssh.OPEN_CONNECT_FAILED
        try:
            refusal = await asyncio.shield(self._counted) if self._counted else None
            if refusal is None:
                refusal = await self._admitted_connection.open_session(most)
                if refusal is not None:
                    refused_as = asyncssh.OPEN_RESOURCE_SHORTAGE
                    self._log_limit(refusal)
        except asyncio.CancelledError:
            refusal = Refusal(_STOPPING)
        finally:
            self._opening -= 1
        if refusal is None and (self._shared.stopping or self._leaving or self._closed.is_set()):
            self._admitted_connection.close_session()
            refusal = Refusal(self._leaving or _STOPPING)
        if refusal is not None:
            raise asyncssh.ChannelOpenError(refused_as, refusal.reason)
        return self._open(identity, channel)

    def _log_limit(self, refusal: Refusal) -> None:
        if refusal == TOO_MANY_SESSIONS:
            self._count(LIMITS_REACHED.row("sessions"))
            self.refused("session beyond the user's limit")

    def _open(self, identity: Identity, channel: Any) -> asyncssh.SSHServerSession[bytes]:
        """Open a session that the gate has counted."""
        try:
            with self._spans.current():
                session = self._sessions.open(identity, self._describe(identity), channel)
        except BaseException:
            self._admitted_connection.close_session()
            raise
        if self._idle is not None:
            self._idle.cancel()
        return cast("asyncssh.SSHServerSession[bytes]", session)

    def _session_closed(self) -> None:
        self._admitted_connection.close_session()
        self._watch_idleness()

    def _describe(self, identity: Identity) -> backends.Session:
        self._opened += 1
        return backends.Session(
            user=identity.user,
            peer=self._peer,
            client_version=str(self._open_conn.get_extra_info("client_version", "")).removeprefix("SSH-2.0-"),
            session_id=f"{self._id}.{self._opened}",
            attributes=identity.attributes,
        )

    def _watch_idleness(self) -> None:
        limit = self._shared.options.idle_connection.total_seconds()
        if self._idle is not None:
            self._idle.cancel()
        if limit and not self._sessions and not self._closed.is_set():
            self._idle = asyncio.get_running_loop().call_later(
                limit, self.disconnect, "idle without a session"
            )

    def refused(self, what: str) -> None:
        suppressed = self._shared.refusals.allow(what, asyncio.get_running_loop().time())
        if suppressed is not None:
            log = _log.debug if what in USUAL else _log.warning
            log(
                "connection.request_refused",
                connection=self._id,
                user=self._user,
                request=what,
                suppressed=suppressed,
            )

    # -- the end

    @property
    def authenticated(self) -> bool:
        """Whether the client has authenticated."""
        return self._counted is not None

    @property
    def busy(self) -> bool:
        """Whether any of its sessions has something under way."""
        return self._sessions.busy

    async def end_sessions(self, reason: str, *, only_idle: bool = False) -> None:
        """End its sessions; with `only_idle` only those with nothing under way."""
        await self._sessions.end(reason, self._user, only_idle=only_idle)

    def open_sessions(self) -> list[OpenedSession]:
        """Its sessions, for the operator."""
        proof = self._login.proof
        method = proof.method if proof else ""
        return [OpenedSession(each, method, activity) for each, activity in self._sessions.described()]

    def has_session(self, session_id: str) -> bool:
        """Whether a session with this id is open."""
        return any(described.session_id == session_id for described, _ in self._sessions.described())

    @property
    def authenticated_user(self) -> str:
        """The user who has authenticated, even if the login is not complete yet; empty if nobody has."""
        proof = self._login.proof
        return proof.identity.user if proof else ""

    def reason_to_end(self, now: datetime) -> str | None:
        """Why a user who has logged in must leave by now; None if there is no reason."""
        proof = self._login.proof
        return proof.identity.login_rules.end(now) if proof else None

    @property
    def is_leaving(self) -> bool:
        """Whether `send_away` has been called."""
        return bool(self._leaving)

    def send_away(self, reason: str) -> Coroutine[Any, Any, None]:
        """Refuse new sessions from now on. The returned coroutine ends the running ones, as when the server
        stops, and then the connection. The reason is for the log alone."""
        self._leaving = _NOT_NOW
        _log.info(
            "connection.ending",
            connection=self._id,
            peer=self._peer,
            user=self.authenticated_user,
            reason=reason,
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
            self.disconnect(_NOT_NOW)

    def disconnect(self, reason: str) -> None:
        """Send a DISCONNECT and close."""
        self._open_conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._log_event("connection.aborted", peer=self._peer, reason=reason)
        self._open_conn.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed and its sessions have released everything."""
        await self._closed.wait()
        await self._sessions.wait_closed()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._closed.set()
        for watch in (self._keepalive, self._tcp_watch):
            if watch is not None:
                watch.stop()
        if self._late_kexinit is not None:
            self._late_kexinit.cancel()
        if self._admitted is None:
            return
        self._shared.connections.discard(self)
        self._count(CONNECTIONS.row(), -1)
        if not self.authenticated:
            self._log_mismatch()
            self._login.closed_without_login(self._user, self._signs.offence(exc))
            self._signs.log_end(self._admitted.peer, self._shared.clientless)
        elif self._counted is not None and not self._counted.done() and self._login.proof is not None:
            self._log_accepted(self._login.proof)  # the client has been told so, and left before the answer
        self._admitted.leave()
        self._spans.end(self._open_conn.get_extra_info("client_version"), exc)
        self._log_event(
            "connection.closed",
            peer=self._peer,
            user=self._user or None,
            authenticated=self.authenticated,
            reason=str(exc) if exc else None,
        )

    def _log_mismatch(self) -> None:
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
    def _admitted_connection(self) -> AdmittedConnection:
        if self._admitted is None:
            raise RuntimeError("the connection was not let in")
        return self._admitted

    @property
    def _alive(self) -> Keepalive:
        if self._keepalive is None:
            raise RuntimeError("the connection was not let in")
        return self._keepalive


def _prompt(question: str) -> tuple[str, str, str, Sequence[tuple[str, bool]]]:
    """A keyboard-interactive request with one question, whose answer is not shown."""
    return "", "", "", ((question, False),)
