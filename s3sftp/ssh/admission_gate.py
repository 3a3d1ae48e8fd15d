"""The admission gate: counts connections and decides on bans and limits for the whole server.

    arrive ──► an admitted connection, maybe queued ──► log_in (may exceed the user's limit) ──► leave
       │          └── offences such as failed logins, which may cause a ban of the source
       └──► refused

A server of one process decides here. With several workers the supervisor has the one gate, and each worker
has an end of it whose answers arrive later: hence the futures.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from s3sftp.auth import AuthOptions, Defender, Offence, normalized_address, source_of
from s3sftp.ssh.admission import Admission, AdmissionStage, Refusal, TrackedConnection
from s3sftp.ssh.options import SshOptions
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import CONNECTIONS_TOTAL
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")
_BANNED = Refusal("the source is banned")
T = TypeVar("T")
Disconnect = Callable[[str], None]
"""Closes a connection at once, for the given reason."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The address that a connection comes from."""

    address: str
    port: int
    proxy: str = ""
    """The load balancer that reported the address, in the log's format; empty if the client connected
    directly."""
    is_proxys_own: bool = False
    """No client is known for it: a health check, or a connection that a load balancer forwards without an
    address."""

    @classmethod
    def of(cls, name: Any) -> Peer:
        """The peer for an address from `accept`, or for an address and a port."""
        host, port = name[:2] if name else ("", 0)
        return cls(normalized_address(host), port)

    @property
    def client_address(self) -> str:
        """The client's address, for the rules on addresses; empty if it is not known."""
        return "" if self.is_proxys_own else self.address

    @property
    def source(self) -> str:
        """The source that it counts for."""
        return source_of(self.address)

    @property
    def shown(self) -> str:
        """Address and port, for the log."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def fields(self) -> dict[str, str]:
        """The same, and the proxy if there is one, as fields of a log line."""
        return {"peer": self.shown} | ({"proxy": self.proxy} if self.proxy else {})


class AdmittedConnection(Protocol):
    """A connection that was admitted, as the gate counts it."""

    @property
    def peer(self) -> Peer:
        """The client's address. The socket may know only a load balancer's."""

    def version_received(self) -> None:
        """Record that the client has sent its version, so it is not silent."""

    def log_in(self, user: str, name: str) -> asyncio.Future[Refusal | None]:
        """Count the connection for `user`, who has authenticated with the user name `name`; the answer is a
        refusal if the user has too many."""

    def may_try_password(self, user: str, has_proven: bool = False) -> asyncio.Future[bool]:
        """Whether a password or a code for the user name may be tried; if not, it counts as wrong.
        `has_proven`: after another factor of this user."""

    def offended(self, offence: Offence, user: str = "", has_proven: bool = False) -> asyncio.Future[bool]:
        """Count an offence, such as a failed login for the user name; the answer is whether the source is
        banned now. `has_proven`: after another factor of this user."""

    def open_session(self, most: int) -> asyncio.Future[Refusal | None]:
        """Count a session of the user who has logged in; the answer is a refusal if the user has `most` of
        them already, over all connections. 0: there is no limit, and the answer is available at once."""

    def close_session(self) -> None:
        """Count a session out that was counted."""

    def leave(self) -> None:
        """Remove the connection, which has closed. May be called twice."""


class AdmissionGate(Protocol):
    """Decides which connections are admitted."""

    def arrive(self, conn: Any, expel: Disconnect) -> AdmittedConnection | None:
        """The admitted connection for a connection of asyncssh; None if it must be closed at once.

        `expel` is called if the connection has to make room for others before it has logged in.
        """


class ServerAdmissionGate:
    """The gate of a server: bans, limits, and the queued and admitted connections."""

    def __init__(self, ssh: SshOptions, auth: AuthOptions, metrics: Metrics | None = None) -> None:
        self._count = (metrics or Metrics()).add
        self.defender = Defender(auth, metrics, ssh.shared_sources)
        self._shared = [ipaddress.ip_network(network) for network in ssh.shared_sources]
        self._admission = Admission(ssh, self._dismiss)
        self._refusals = LogThrottle()
        self._unauthenticated: dict[TrackedConnection, LocalAdmittedConnection] = {}
        """Connections that have not logged in."""
        self.closed = False
        """No more connections are admitted."""
        self.changed: Callable[[], None] = lambda: None
        """Called when the next connection may get a slot."""

    def arrive(self, peer: Peer) -> LocalAdmittedConnection | None:
        """Register a connection. Returns it, possibly queued; or None, after logging why it is refused."""
        now = _now()
        answer = self._decide(peer, now)
        if isinstance(answer, Refusal):
            self.log_refused(peer, answer.reason)
            return None
        admitted = self._unauthenticated[answer] = LocalAdmittedConnection(self, answer, peer)
        admitted.is_exempt = self._is_exempt(peer)
        return admitted

    def next(self) -> LocalAdmittedConnection | None:
        """The connection whose turn has come; None if no slot is free."""
        now = _now()
        self._admission.give_up(now)
        while (tracked := self._admission.next(now)) is not None:
            admitted = self._unauthenticated[tracked]
            if admitted.is_exempt or not self.defender.banned(tracked.source):
                return admitted
            self._admission.leave(tracked)
            self._dismiss(tracked, _BANNED)
        return None

    def _decide(self, peer: Peer, now: float) -> TrackedConnection | Refusal:
        if self.closed:
            return Refusal("the server is stopping")
        is_shared = peer.is_proxys_own or self._is_shared(peer.address)
        if self.defender.banned(peer.source) and not self._is_exempt(peer):
            return _BANNED
        return self._admission.arrive(peer.source, now, is_shared=is_shared)

    def _is_exempt(self, peer: Peer) -> bool:
        return not peer.client_address or self.defender.exempts(peer.address)

    def _is_shared(self, address: str) -> bool:
        if not self._shared:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._shared)

    def _dismiss(self, tracked: TrackedConnection, refusal: Refusal) -> None:
        self._unauthenticated.pop(tracked).expel(refusal.reason)

    def log_refused(self, peer: Peer, reason: str) -> None:
        """Log and count that a connection is refused."""
        self.count_refused()
        suppressed = self._refusals.allow(reason, _now())
        if suppressed is not None:
            _log.warning("connection.refused", **peer.fields, reason=reason, suppressed=suppressed)

    def count_refused(self) -> None:
        """Count a refused connection that is logged elsewhere."""
        self._count(CONNECTIONS_TOTAL.row("refused"))

    def log_in(self, tracked: TrackedConnection, user: str) -> Refusal | None:
        """Count the connection for its user."""
        refusal = self._admission.log_in(tracked, user)
        if refusal is None:
            self._unauthenticated.pop(tracked, None)
            self.changed()
        return refusal

    def open_session(self, tracked: TrackedConnection, most: int) -> Refusal | None:
        """Count a session for its user."""
        return self._admission.open_session(tracked, most)

    def close_session(self, tracked: TrackedConnection) -> None:
        """Count a session out."""
        self._admission.close_session(tracked)

    def leave(self, tracked: TrackedConnection) -> None:
        """Remove the connection from the counts."""
        self._admission.leave(tracked)
        self._unauthenticated.pop(tracked, None)
        self.changed()


class LocalAdmittedConnection:
    """An admitted connection of a gate in this process: its answers are available at once."""

    def __init__(self, gate: ServerAdmissionGate, tracked: TrackedConnection, peer: Peer) -> None:
        self._gate = gate
        self._tracked = tracked
        self.peer = peer
        self.expel: Disconnect = lambda _reason: None
        """Closes the connection, in whichever process it is served."""
        self.is_exempt = False
        """Its source is never banned."""

    @property
    def is_admitted(self) -> bool:
        """Whether it has a slot for its login, or has logged in."""
        return self._tracked.stage in (AdmissionStage.ENTERING, AdmissionStage.LOGGED_IN)

    def version_received(self) -> None:
        self._tracked.has_spoken = True

    def log_in(self, user: str, name: str) -> asyncio.Future[Refusal | None]:
        refusal = self._gate.log_in(self._tracked, user)
        if refusal is None and not self.is_exempt:
            # guesses are counted by the name that the client gives; an authenticator may know it as another
            self._gate.defender.logged_in(name, self._tracked.source)
        return _known(refusal)

    def may_try_password(self, user: str, has_proven: bool = False) -> asyncio.Future[bool]:
        defender, source = self._gate.defender, self._tracked.source
        return _known(self.is_exempt or defender.may_try_password(user, source, has_proven))

    def offended(self, offence: Offence, user: str = "", has_proven: bool = False) -> asyncio.Future[bool]:
        defender, source = self._gate.defender, self._tracked.source
        return _known(not self.is_exempt and defender.offended(source, offence, user, has_proven))

    def open_session(self, most: int) -> asyncio.Future[Refusal | None]:
        return _known(self._gate.open_session(self._tracked, most))

    def close_session(self) -> None:
        self._gate.close_session(self._tracked)

    def leave(self) -> None:
        self._gate.leave(self._tracked)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _known(value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
