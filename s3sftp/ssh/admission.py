"""How many connections there may be, and from whom. Pure: no clock, no socket.

arrive ──► Waiting ──► logged in ──► counted for its user
   │          └── leaves
   └── refused: too many in all, of this source; or an older silent one makes room
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from s3sftp.ssh.options import SshOptions

PATIENCE_SECONDS = 5.0
"""The only connection of a source is not closed to make room while it is younger than this: it may be in
the middle of logging in."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One connection that was let in."""

    source: str
    arrived: float
    user: str | None = None
    counted: bool = True
    expels: Ticket | None = None
    """The connection that has to be closed because this one took its place."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is turned away, for the log."""

    reason: str


class Admission:
    """Counts connections against the limits."""

    def __init__(self, limits: SshOptions) -> None:
        self._limits = limits
        self._waiting: dict[Ticket, None] = {}  # in order of arrival
        self._waiting_of: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self._total = 0

    @property
    def waiting(self) -> int:
        """Connections that have not logged in."""
        return len(self._waiting)

    @property
    def total(self) -> int:
        return self._total

    def arrive(self, source: str, now: float) -> Ticket | Refusal:
        """A connection from `source`: a ticket for it, which may expel another, or why it is refused."""
        limits = self._limits
        if self._total >= limits.max_connections:
            return Refusal("too many connections")
        if self._waiting_of.get(source, 0) >= limits.max_unauthenticated_per_source:
            return Refusal("too many connections of this source before login")
        ticket = Ticket(source, now)
        if len(self._waiting) >= limits.max_unauthenticated:
            ticket.expels = self._greedy(source) or self._overdue(now)
            if ticket.expels is None:
                return Refusal("too many connections before login")
            self.leave(ticket.expels)
        self._waiting[ticket] = None
        self._waiting_of[source] += 1
        self._total += 1
        return ticket

    def _greedy(self, source: str) -> Ticket | None:
        """The oldest connection of the source that has the most, if that is more than this one would have."""
        greediest, most = max(self._waiting_of.items(), key=lambda item: item[1])
        if most <= self._waiting_of.get(source, 0) + 1:
            return None
        return next(ticket for ticket in self._waiting if ticket.source == greediest)

    def _overdue(self, now: float) -> Ticket | None:
        oldest = next(iter(self._waiting))
        return oldest if now - oldest.arrived >= PATIENCE_SECONDS else None

    def log_in(self, ticket: Ticket, user: str) -> Refusal | None:
        """The connection has proved to be `user`'s; a refusal if that user has too many."""
        if self._users.get(user, 0) >= self._limits.max_connections_per_user:
            return Refusal("too many connections of this user")
        self._stop_waiting(ticket)
        ticket.user = user
        self._users[user] += 1
        return None

    def leave(self, ticket: Ticket) -> None:
        """The connection is gone. May be said twice."""
        if not ticket.counted:
            return
        ticket.counted = False
        self._total -= 1
        if ticket.user is None:
            self._stop_waiting(ticket)
            return
        self._users[ticket.user] -= 1
        if not self._users[ticket.user]:
            del self._users[ticket.user]

    def _stop_waiting(self, ticket: Ticket) -> None:
        del self._waiting[ticket]
        self._waiting_of[ticket.source] -= 1
        if not self._waiting_of[ticket.source]:
            del self._waiting_of[ticket.source]
