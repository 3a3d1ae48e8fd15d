"""Where connections come in: what is counted and decided for the whole server.

    arrive ──► a Guest ──► log_in (may be too many of that user) ──► leave
       │          └── failed logins, which may get the source banned
       └──► a Refusal

A server of one process decides here. With several workers one door stands in front of all of them, and each
worker has the far end of it, whose answers take a moment: hence the futures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from s3sftp.auth import AuthOptions, Bans, plain, source_of
from s3sftp.ssh.admission import Admission, Refusal, Ticket
from s3sftp.ssh.options import SshOptions
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.sparse import Sparse

_log = get_logger("s3sftp.ssh")
T = TypeVar("T")
Expel = Callable[[str], None]
"""Closes a connection at once, for the reason given."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a connection comes from."""

    address: str
    source: str
    """What it counts as."""
    shown: str
    """Address and port, for the log."""

    @classmethod
    def of(cls, name: Any) -> Peer:
        """From what `getpeername` says; that may be nothing when the client has gone already."""
        host, port = name[:2] if name else ("", 0)
        address = plain(host)
        shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        return cls(address, source_of(address), shown)


class Guest(Protocol):
    """One connection that was let in, as the door counts it."""

    def log_in(self, user: str) -> asyncio.Future[Refusal | None]:
        """The connection has proved to be `user`'s; the answer is a refusal if that user has too many."""

    def failed(self) -> asyncio.Future[bool]:
        """Count a failed login; the answer is whether this one got the source banned."""

    def leave(self) -> None:
        """The connection is gone. May be said twice."""


class Door(Protocol):
    """Says who may come in."""

    def arrive(self, conn: Any, peer: Peer, expel: Expel) -> Guest | None:
        """A connection of asyncssh's: a guest, or None, and the log says why.

        `expel` is called when it has to make room for others before it has logged in.
        """


class Entrance(Protocol):
    """A place other than a listening socket that connections come from, with the door that they came through.

    asyncssh takes it for a tunnel: it asks once for a server, and calls the factory for each connection.
    """

    @property
    def door(self) -> Door:
        """Knows each connection already."""

    async def create_server(self, factory: Callable[[str, int], Any], host: str, port: int) -> Any:
        """Begin to hand connections over. Returns an `asyncio.AbstractServer` as far as it is needed: with
        `close` and `wait_closed`."""


class FrontDoor:
    """The door of a server: bans, limits, and who is in."""

    def __init__(self, ssh: SshOptions, auth: AuthOptions) -> None:
        self._bans = Bans(
            auth.ban_failures,
            auth.ban_window.total_seconds(),
            auth.ban_time.total_seconds(),
            auth.max_tracked_sources,
        )
        self._admission = Admission(ssh)
        self._refusals = Sparse()
        self._expel: dict[Ticket, Expel] = {}
        self.closed = False
        """Nobody comes in any more."""

    def arrive(self, conn: Any, peer: Peer, expel: Expel) -> CountedGuest | None:
        now = asyncio.get_running_loop().time()
        answer = self._decide(peer.source, now)
        if isinstance(answer, Refusal):
            untold = self._refusals.tell(answer.reason, now)
            if untold is not None:
                _log.warning("connection refused", peer=peer.shown, reason=answer.reason, untold=untold)
            return None
        self._expel[answer] = expel
        if answer.expels is not None and (expel_other := self._expel.pop(answer.expels, None)):
            expel_other("made room for others before login")
        return CountedGuest(self, answer)

    def _decide(self, source: str, now: float) -> Ticket | Refusal:
        if self.closed:
            return Refusal("the server is stopping")
        if self._bans.banned(source, now):
            return Refusal("the source is banned")
        return self._admission.arrive(source, now)

    def log_in(self, ticket: Ticket, user: str) -> Refusal | None:
        """Count the connection for its user."""
        if not ticket.counted:
            return Refusal("made room for others before login")
        return self._admission.log_in(ticket, user)

    def failed(self, ticket: Ticket) -> bool:
        """Count a failed login of the connection's source."""
        banned = self._bans.failed(ticket.source, asyncio.get_running_loop().time())
        if banned:
            _log.warning("source banned", source=ticket.source)
        return banned

    def leave(self, ticket: Ticket) -> None:
        """Count the connection out."""
        self._admission.leave(ticket)
        self._expel.pop(ticket, None)


class CountedGuest:
    """A guest of a door in this process: its answers are there at once."""

    def __init__(self, door: FrontDoor, ticket: Ticket) -> None:
        self._door = door
        self._ticket = ticket

    def log_in(self, user: str) -> asyncio.Future[Refusal | None]:
        return _known(self._door.log_in(self._ticket, user))

    def failed(self) -> asyncio.Future[bool]:
        return _known(self._door.failed(self._ticket))

    def leave(self) -> None:
        self._door.leave(self._ticket)


def _known(value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
