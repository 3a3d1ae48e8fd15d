"""Where connections come in: what is counted and decided for the whole server.

    arrive ──► a guest, queued or admitted ──► log_in (may be too many of that user) ──► leave
       │          └── failed logins, which may get the source banned
       └──► refused

A server of one process decides here. With several workers one door stands in front of all of them, and each
worker has the far end of it, whose answers take a moment: hence the futures.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from s3sftp.auth import AuthOptions, Bans, normalized_address, source_of
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
"""Closes a connection at once, for the reason given."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a connection comes from."""

    address: str
    port: int
    proxy: str = ""
    """The load balancer that said so, as it is shown in the log; empty where the client connected itself."""
    is_proxys_own: bool = False
    """No client is known behind it: a health check, or what a load balancer forwards without an address."""

    @classmethod
    def of(cls, name: Any) -> Peer:
        """From what `accept` says, or from an address and a port."""
        host, port = name[:2] if name else ("", 0)
        return cls(normalized_address(host), port)

    @property
    def source(self) -> str:
        """What it counts as."""
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
    """One connection that was let in, as the door counts it."""

    @property
    def peer(self) -> Peer:
        """Where it comes from. The socket may only know a load balancer."""

    def greeted(self) -> None:
        """The client has sent its version: it is not silent."""

    def log_in(self, user: str) -> asyncio.Future[Refusal | None]:
        """The connection has proved to be `user`'s; the answer is a refusal if that user has too many."""

    def failed(self) -> asyncio.Future[bool]:
        """Count a failed login; the answer is whether this one got the source banned."""

    def leave(self) -> None:
        """The connection is gone. May be said twice."""


class AdmissionGate(Protocol):
    """Says who may come in."""

    def arrive(self, conn: Any, expel: Disconnect) -> AdmittedConnection | None:
        """The guest whose connection of asyncssh's this is; None if it has to go at once.

        `expel` is called when it has to make room for others before it has logged in.
        """


class ConnectionSource(Protocol):
    """Where connections come from, with the door that they came through.

    asyncssh takes it for a tunnel: it asks once for a server, and calls the factory for each connection.
    """

    @property
    def door(self) -> AdmissionGate:
        """Knows each connection already."""

    async def create_server(self, factory: Callable[[str, int], Any], host: str, port: int) -> Any:
        """Begin to hand connections over. Returns an `asyncio.AbstractServer` as far as it is needed: with
        `close` and `wait_closed`."""


class ServerAdmissionGate:
    """The door of a server: bans, limits, who waits and who is in."""

    def __init__(self, ssh: SshOptions, auth: AuthOptions, metrics: Metrics | None = None) -> None:
        self._count = (metrics or Metrics()).add
        self._bans = Bans(
            auth.ban_failures,
            auth.ban_window.total_seconds(),
            auth.ban_time.total_seconds(),
            auth.max_tracked_sources,
        )
        self._ban = {"failures": auth.ban_failures, "seconds": auth.ban_time.total_seconds()}
        """What the log says of a ban: after how many failed logins, and for how long."""
        self._shared = [ipaddress.ip_network(network) for network in ssh.shared_sources]
        self._admission = Admission(ssh, self._dismiss)
        self._refusals = LogThrottle()
        self._guests: dict[TrackedConnection, LocalAdmittedConnection] = {}
        """Those that have not logged in."""
        self.closed = False
        """Nobody comes in any more."""
        self.changed: Callable[[], None] = lambda: None
        """Called when there may be a place for the next one."""

    def arrive(self, peer: Peer) -> LocalAdmittedConnection | None:
        """A connection: its guest, which may have to wait for its turn, or None, and the log says why."""
        now = _now()
        answer = self._decide(peer, now)
        if isinstance(answer, Refusal):
            self.tell(peer, answer.reason)
            return None
        guest = self._guests[answer] = LocalAdmittedConnection(self, answer, peer)
        return guest

    def next(self) -> LocalAdmittedConnection | None:
        """The guest whose turn has come; None while there is no place for any."""
        now = _now()
        self._admission.give_up(now)
        while (ticket := self._admission.next(now)) is not None:
            if ticket.is_shared or not self._bans.banned(ticket.source, now):
                return self._guests[ticket]
            self._admission.leave(ticket)
            self._dismiss(ticket, _BANNED)
        return None

    def _decide(self, peer: Peer, now: float) -> TrackedConnection | Refusal:
        if self.closed:
            return Refusal("the server is stopping")
        is_shared = peer.is_proxys_own or self._is_shared(peer.address)
        if not is_shared and self._bans.banned(peer.source, now):
            return _BANNED
        return self._admission.arrive(peer.source, now, is_shared=is_shared)

    def _is_shared(self, address: str) -> bool:
        if not self._shared:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._shared)

    def _dismiss(self, ticket: TrackedConnection, refusal: Refusal) -> None:
        self._guests.pop(ticket).expel(refusal.reason)

    def tell(self, peer: Peer, reason: str) -> None:
        """Say in the log, and count, that a connection is refused."""
        self.count_refused()
        untold = self._refusals.tell(reason, _now())
        if untold is not None:
            _log.warning("connection.refused", **peer.fields, reason=reason, suppressed=untold)

    def count_refused(self) -> None:
        """A connection is refused, and somebody says so in the log."""
        self._count(CONNECTIONS_TOTAL.row("refused"))

    def log_in(self, ticket: TrackedConnection, user: str) -> Refusal | None:
        """Count the connection for its user."""
        refusal = self._admission.log_in(ticket, user)
        if refusal is None:
            self._guests.pop(ticket, None)
            self.changed()
        return refusal

    def failed(self, ticket: TrackedConnection) -> bool:
        """Count a failed login of the connection's source, if that is one client's."""
        if ticket.is_shared:
            return False
        banned = self._bans.failed(ticket.source, _now())
        if banned:
            _log.warning("source.banned", source=ticket.source, **self._ban)
        return banned

    def leave(self, ticket: TrackedConnection) -> None:
        """Count the connection out."""
        self._admission.leave(ticket)
        self._guests.pop(ticket, None)
        self.changed()


class LocalAdmittedConnection:
    """A guest of a door in this process: its answers are there at once."""

    def __init__(self, door: ServerAdmissionGate, ticket: TrackedConnection, peer: Peer) -> None:
        self._door = door
        self._ticket = ticket
        self.peer = peer
        self.expel: Disconnect = lambda _reason: None
        """Closes its connection, wherever that is."""

    @property
    def is_admitted(self) -> bool:
        """Whether it has a place to log in, or has logged in."""
        return self._ticket.stage in (AdmissionStage.ENTERING, AdmissionStage.LOGGED_IN)

    def greeted(self) -> None:
        self._ticket.has_spoken = True

    def log_in(self, user: str) -> asyncio.Future[Refusal | None]:
        return _known(self._door.log_in(self._ticket, user))

    def failed(self) -> asyncio.Future[bool]:
        return _known(self._door.failed(self._ticket))

    def leave(self) -> None:
        self._door.leave(self._ticket)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _known(value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
