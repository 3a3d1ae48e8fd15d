"""Limits the number of concurrent connections, in all and per source and user. Pure: no clock, no socket.

    arrive ──► queued ──► entering ──► logged in, counted for its user
       │          │          ├── dismissed: it held up others for too long
       │          │          └── leaves
       │          └── dismissed: it waited for too long, or others wait with a higher priority
       └── refused: too many in all, or of its source

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
    """Its source stands for many clients, so the limits per source do not apply."""
    stage: AdmissionStage = AdmissionStage.QUEUED
    has_spoken: bool = False
    """The client has sent its version."""
    user: str | None = None
    sessions: int = 0
    """Its sessions that are open or about to be."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused or dismissed, for the log."""

    reason: str


MADE_ROOM = Refusal("made room for others before login")
WAITED = Refusal("waited too long for its turn to log in")
TOO_MANY_SESSIONS = Refusal("too many sessions of this user")

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
        self._sources: Counter[str] = Counter()
        """All connections of each source that is not shared."""
        self._users: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()
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
        most = self._limits.max_connections_per_source
        if most and not is_shared and self._sources.get(source, 0) >= most:
            return Refusal("too many connections of this source")
        answer = self._admit(TrackedConnection(source, now, is_shared), now)
        if isinstance(answer, TrackedConnection) and not is_shared:
            self._sources[source] += 1
        return answer

    def _admit(self, tracked: TrackedConnection, now: float) -> TrackedConnection | Refusal:
        full = self.total >= self._limits.max_connections
        if not full and self._has_slot(tracked) and not any(map(self._has_slot, self._queue)):
            self._enter(tracked, now)
            return tracked
        if (full or len(self._queue) >= self._limits.max_queued) and not self._shorten_queue(
            tracked.source, now
        ):
            return Refusal("too many connections" if full else "too many connections wait to log in")
        self._queue[tracked] = None
        return tracked

    def next(self, now: float) -> TrackedConnection | None:
        """Give a slot to the connection whose turn it is and return it; None if none may have one."""
        waiting = [tracked for tracked in self._queue if self._has_slot(tracked)]
        tracked = min(waiting, key=self._right, default=None) or self._next_held_up(now)
        if tracked is not None:
            del self._queue[tracked]
            self._enter(tracked, now)
        return tracked

    def give_up(self, now: float) -> None:
        """Dismiss connections that have been queued for as long as a login may take."""
        limit = self._limits.login_grace.total_seconds()
        while limit and self._queue and now - (oldest := next(iter(self._queue))).since >= limit:
            self._send_away(oldest, WAITED)

    def log_in(self, tracked: TrackedConnection, user: str) -> Refusal | None:
        """Count the connection, which has authenticated, for `user`; a refusal if that user has too many."""
        if tracked.stage is not AdmissionStage.ENTERING:
            return MADE_ROOM
        if self._users.get(user, 0) >= self._limits.max_connections_per_user:
            return Refusal("too many connections of this user")
        self._stop_entering(tracked)
        tracked.stage, tracked.user = AdmissionStage.LOGGED_IN, user
        self._inside += 1
        self._users[user] += 1
        return None

    def open_session(self, tracked: TrackedConnection, most: int) -> Refusal | None:
        """Count a session of a connection that has logged in; a refusal if its user has `most` of them
        already. 0: there is no limit."""
        if tracked.stage is not AdmissionStage.LOGGED_IN:
            return MADE_ROOM
        user = str(tracked.user)
        if most and self._sessions.get(user, 0) >= most:
            return TOO_MANY_SESSIONS
        tracked.sessions += 1
        self._sessions[user] += 1
        return None

    def close_session(self, tracked: TrackedConnection) -> None:
        """Count a session out. Those of a connection that has left are counted out already."""
        if tracked.sessions:
            tracked.sessions -= 1
            _take(self._sessions, str(tracked.user), 1)

    def leave(self, tracked: TrackedConnection) -> None:
        """Remove a connection that has closed. May be called twice."""
        match tracked.stage:
            case AdmissionStage.QUEUED:
                del self._queue[tracked]
            case AdmissionStage.ENTERING:
                self._stop_entering(tracked)
            case AdmissionStage.LOGGED_IN:
                self._inside -= 1
                _take(self._users, str(tracked.user), 1)
                _take(self._sessions, str(tracked.user), tracked.sessions)
                tracked.sessions = 0
        if tracked.stage is not AdmissionStage.GONE and not tracked.is_shared:
            _take(self._sources, tracked.source, 1)
        tracked.stage = AdmissionStage.GONE

    # -- slots

    def _has_slot(self, tracked: TrackedConnection) -> bool:
        return len(self._entering) < self._limits.max_unauthenticated and not self._source_is_full(tracked)

    def _source_is_full(self, tracked: TrackedConnection) -> bool:
        limit = self._limits.max_unauthenticated_per_source
        return not tracked.is_shared and self._entering_of[tracked.source] >= limit

    def _right(self, tracked: TrackedConnection) -> tuple[int, bool]:
        """The queue's sort key: the smallest is first, equals in order of arrival."""
        return self._entering_of[tracked.source], not tracked.has_spoken

    def _enter(self, tracked: TrackedConnection, now: float) -> None:
        tracked.stage, tracked.since = AdmissionStage.ENTERING, now
        self._entering[tracked] = None
        self._entering_of[tracked.source] += 1

    def _stop_entering(self, tracked: TrackedConnection) -> None:
        del self._entering[tracked]
        _take(self._entering_of, tracked.source, 1)

    # -- dismissals

    def _send_away(self, tracked: TrackedConnection, reason: Refusal) -> None:
        self.leave(tracked)
        self._dismiss(tracked, reason)

    def _next_held_up(self, now: float) -> TrackedConnection | None:
        """A queued connection that may get a slot because another connection has been dismissed."""
        blockers = _Blockers(self._entering, self._entering_of, now)
        found: list[tuple[TrackedConnection, TrackedConnection]] = []
        for tracked in self._held_up(now):
            own = self._source_is_full(tracked)
            blocker = blockers.within(tracked) if own else blockers.anywhere(tracked)
            if blocker is not None:
                found.append((tracked, blocker))
        if not found:
            return None
        tracked, blocker = min(found, key=lambda pair: self._right(pair[0]))
        self._send_away(blocker, MADE_ROOM)
        return tracked

    def _held_up(self, now: float) -> Iterator[TrackedConnection]:
        for tracked in self._queue:
            if now - tracked.since < HELD_UP_SECONDS:
                return
            yield tracked

    def _shorten_queue(self, source: str, now: float) -> bool:
        """Dismiss a queued connection in favour of one from `source`. Returns whether there was one to
        dismiss."""
        silent = (tracked for tracked in self._queue if _is_silent(tracked, now))
        tracked = next(silent, None) or self._greedy_in_queue(source)
        if tracked is None:
            return False
        self._send_away(tracked, MADE_ROOM)
        return True

    def _greedy_in_queue(self, source: str) -> TrackedConnection | None:
        """The latest connection of the source with the most in the queue, if that has more than `source`
        would have."""
        queued = Counter(tracked.source for tracked in self._queue)
        greediest, most = max(queued.items(), key=lambda item: item[1], default=("", 0))
        if most <= queued[source] + 1:
            return None
        return next(tracked for tracked in reversed(self._queue) if tracked.source == greediest)


class _Blockers:
    """The connections that hold slots and may be dismissed in favour of others."""

    def __init__(
        self, entering: dict[TrackedConnection, None], entering_of: Counter[str], now: float
    ) -> None:
        self._entering_of = entering_of
        self._silent: dict[str, TrackedConnection] = {}
        for tracked in entering:
            if _is_silent(tracked, now):
                self._silent.setdefault(tracked.source, tracked)
        self._oldest = next(iter(entering), None)
        self._is_overdue = self._oldest is not None and now - self._oldest.since >= PROTECTED_SECONDS
        greediest, self._most = max(entering_of.items(), key=lambda item: item[1], default=("", 0))
        of_greediest = next((tracked for tracked in entering if tracked.source == greediest), None)
        old = of_greediest is not None and now - of_greediest.since >= SILENT_SECONDS
        self._greedy = of_greediest if old else None

    def within(self, tracked: TrackedConnection) -> TrackedConnection | None:
        """A silent one from the same source, if `tracked` is not silent."""
        return self._silent.get(tracked.source) if tracked.has_spoken else None

    def anywhere(self, tracked: TrackedConnection) -> TrackedConnection | None:
        """The oldest silent one, if `tracked` is not silent; else one of the source with the most, if that
        has more; else the oldest, if its protected time is over."""
        if tracked.has_spoken and self._silent:
            return next(iter(self._silent.values()))
        if self._most > self._entering_of[tracked.source] + 1 and self._greedy is not None:
            return self._greedy
        return self._oldest if self._is_overdue else None


def _is_silent(tracked: TrackedConnection, now: float) -> bool:
    return not tracked.has_spoken and now - tracked.since >= SILENT_SECONDS


def _take(counts: Counter[str], name: str, count: int) -> None:
    counts[name] -= count
    if not counts[name]:
        del counts[name]
