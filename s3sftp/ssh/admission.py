"""Limits the number of concurrent connections, in all and per source and user. Pure: no clock, no socket.

    arrive ──► queued ──► entering ──► logged in, counted for its user
       │          │          ├── dismissed: it held up others for too long
       │          │          └── leaves
       │          └── dismissed: it waited for too long, or others wait with a higher priority
       └── refused: too many in all

A login needs a slot, which stands for an SSH connection with its key exchange. While slots are free, no
connection is queued. A slot that becomes free goes to the source that holds the fewest; among the connections
of a source first to those that have sent their version, then to the one that arrived first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from s3sftp.ssh.options import SshOptions

HELD_UP_SECONDS = 0.5
"""No connection is dismissed in favour of one that has waited less than this: ordinary logins free slots
faster."""
SILENT_SECONDS = 1.0
"""A connection that has sent no version for this long gives its slot to one that has."""
PROTECTED_SECONDS = 5.0
"""The only connection of a source keeps its slot for this long: it may be in the middle of a login."""


class AdmissionStage(Enum):
    """How far a connection has come."""

    QUEUED = auto()
    ENTERING = auto()
    LOGGED_IN = auto()
    GONE = auto()


@dataclass(eq=False, slots=True)
class TrackedConnection:
    """A connection that was not refused."""

    source: str
    since: float
    """When it reached this stage."""
    is_shared: bool = False
    """Its source stands for many clients, so the limit per source does not apply."""
    stage: AdmissionStage = AdmissionStage.QUEUED
    has_spoken: bool = False
    """The client has sent its version."""
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused or dismissed, for the log."""

    reason: str


MADE_ROOM = Refusal("made room for others before login")
WAITED = Refusal("waited too long for its turn to log in")

Dismiss = Callable[[TrackedConnection, Refusal], None]


class Admission:
    """Counts connections against the limits. `dismiss` is called with each connection that has to go; it is
    no longer counted then."""

    def __init__(self, limits: SshOptions, dismiss: Dismiss) -> None:
        self._limits = limits
        self._dismiss = dismiss
        self._queue: dict[TrackedConnection, None] = {}  # both in order of arrival
        self._entering: dict[TrackedConnection, None] = {}
        self._entering_of: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self._inside = 0

    @property
    def queued(self) -> int:
        """Number of connections that wait for a slot."""
        return len(self._queue)

    @property
    def entering(self) -> int:
        """Number of connections that hold a slot and have not logged in."""
        return len(self._entering)

    @property
    def total(self) -> int:
        """Number of all connections."""
        return len(self._queue) + len(self._entering) + self._inside

    def arrive(self, source: str, now: float, *, is_shared: bool = False) -> TrackedConnection | Refusal:
        """Register a connection from `source`. Returns it, possibly queued, or why it is refused."""
        full = self.total >= self._limits.max_connections
        ticket = TrackedConnection(source, now, is_shared)
        if not full and self._has_place(ticket) and not any(map(self._has_place, self._queue)):
            self._enter(ticket, now)
            return ticket
        if (full or len(self._queue) >= self._limits.max_queued) and not self._shorten_queue(source, now):
            return Refusal("too many connections" if full else "too many connections wait to log in")
        self._queue[ticket] = None
        return ticket

    def next(self, now: float) -> TrackedConnection | None:
        """Give a slot to the connection whose turn it is and return it; None if none may have one."""
        waiting = [ticket for ticket in self._queue if self._has_place(ticket)]
        ticket = min(waiting, key=self._right, default=None) or self._next_held_up(now)
        if ticket is not None:
            del self._queue[ticket]
            self._enter(ticket, now)
        return ticket

    def give_up(self, now: float) -> None:
        """Dismiss connections that have been queued for as long as a login may take."""
        limit = self._limits.login_grace.total_seconds()
        while limit and self._queue and now - (oldest := next(iter(self._queue))).since >= limit:
            self._send_away(oldest, WAITED)

    def log_in(self, ticket: TrackedConnection, user: str) -> Refusal | None:
        """Count the connection, which has authenticated, for `user`; a refusal if that user has too many."""
        if ticket.stage is not AdmissionStage.ENTERING:
            return MADE_ROOM
        if self._users.get(user, 0) >= self._limits.max_connections_per_user:
            return Refusal("too many connections of this user")
        self._stop_entering(ticket)
        ticket.stage, ticket.user = AdmissionStage.LOGGED_IN, user
        self._inside += 1
        self._users[user] += 1
        return None

    def leave(self, ticket: TrackedConnection) -> None:
        """Remove a connection that has closed. May be called twice."""
        match ticket.stage:
            case AdmissionStage.QUEUED:
                del self._queue[ticket]
            case AdmissionStage.ENTERING:
                self._stop_entering(ticket)
            case AdmissionStage.LOGGED_IN:
                self._inside -= 1
                _take_one(self._users, str(ticket.user))
        ticket.stage = AdmissionStage.GONE

    # -- slots

    def _has_place(self, ticket: TrackedConnection) -> bool:
        return len(self._entering) < self._limits.max_unauthenticated and not self._source_is_full(ticket)

    def _source_is_full(self, ticket: TrackedConnection) -> bool:
        limit = self._limits.max_unauthenticated_per_source
        return not ticket.is_shared and self._entering_of[ticket.source] >= limit

    def _right(self, ticket: TrackedConnection) -> tuple[int, bool]:
        """The queue's sort key: the smallest is first, equals in order of arrival."""
        return self._entering_of[ticket.source], not ticket.has_spoken

    def _enter(self, ticket: TrackedConnection, now: float) -> None:
        ticket.stage, ticket.since = AdmissionStage.ENTERING, now
        self._entering[ticket] = None
        self._entering_of[ticket.source] += 1

    def _stop_entering(self, ticket: TrackedConnection) -> None:
        del self._entering[ticket]
        _take_one(self._entering_of, ticket.source)

    # -- dismissals

    def _send_away(self, ticket: TrackedConnection, reason: Refusal) -> None:
        self.leave(ticket)
        self._dismiss(ticket, reason)

    def _next_held_up(self, now: float) -> TrackedConnection | None:
        """A queued connection that may get a slot because another connection has been dismissed."""
        blockers = _Blockers(self._entering, self._entering_of, now)
        found: list[tuple[TrackedConnection, TrackedConnection]] = []
        for ticket in self._held_up(now):
            own = self._source_is_full(ticket)
            blocker = blockers.within(ticket) if own else blockers.anywhere(ticket)
            if blocker is not None:
                found.append((ticket, blocker))
        if not found:
            return None
        ticket, blocker = min(found, key=lambda pair: self._right(pair[0]))
        self._send_away(blocker, MADE_ROOM)
        return ticket

    def _held_up(self, now: float) -> Iterator[TrackedConnection]:
        for ticket in self._queue:
            if now - ticket.since < HELD_UP_SECONDS:
                return
            yield ticket

    def _shorten_queue(self, source: str, now: float) -> bool:
        """Dismiss a queued connection in favour of one from `source`. Returns whether there was one to
        dismiss."""
        silent = (ticket for ticket in self._queue if _is_silent(ticket, now))
        ticket = next(silent, None) or self._greedy_in_queue(source)
        if ticket is None:
            return False
        self._send_away(ticket, MADE_ROOM)
        return True

    def _greedy_in_queue(self, source: str) -> TrackedConnection | None:
        """The latest connection of the source with the most in the queue, if that has more than `source`
        would have."""
        queued = Counter(ticket.source for ticket in self._queue)
        greediest, most = max(queued.items(), key=lambda item: item[1], default=("", 0))
        if most <= queued[source] + 1:
            return None
        return next(ticket for ticket in reversed(self._queue) if ticket.source == greediest)


class _Blockers:
    """The connections that hold slots and may be dismissed in favour of others."""

    def __init__(
        self, entering: dict[TrackedConnection, None], entering_of: Counter[str], now: float
    ) -> None:
        self._entering_of = entering_of
        self._silent: dict[str, TrackedConnection] = {}
        for ticket in entering:
            if _is_silent(ticket, now):
                self._silent.setdefault(ticket.source, ticket)
        self._oldest = next(iter(entering), None)
        self._is_overdue = self._oldest is not None and now - self._oldest.since >= PROTECTED_SECONDS
        greediest, self._most = max(entering_of.items(), key=lambda item: item[1], default=("", 0))
        of_greediest = next((ticket for ticket in entering if ticket.source == greediest), None)
        old = of_greediest is not None and now - of_greediest.since >= SILENT_SECONDS
        self._greedy = of_greediest if old else None

    def within(self, ticket: TrackedConnection) -> TrackedConnection | None:
        """A silent one from the same source, if `ticket` is not silent."""
        return self._silent.get(ticket.source) if ticket.has_spoken else None

    def anywhere(self, ticket: TrackedConnection) -> TrackedConnection | None:
        """The oldest silent one, if `ticket` is not silent; else one of the source with the most, if that has
        more; else the oldest, if its protected time is over."""
        if ticket.has_spoken and self._silent:
            return next(iter(self._silent.values()))
        if self._most > self._entering_of[ticket.source] + 1 and self._greedy is not None:
            return self._greedy
        return self._oldest if self._is_overdue else None


def _is_silent(ticket: TrackedConnection, now: float) -> bool:
    return not ticket.has_spoken and now - ticket.since >= SILENT_SECONDS


def _take_one(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
