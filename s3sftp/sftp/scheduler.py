"""Which requests may run at once, and which must wait for earlier ones. Pure.

Clients pipeline CLOSE, RENAME, SETSTAT without waiting for answers and mean them in that order. So each
request claims what it touches, in order of arrival; it waits for earlier requests with a conflicting claim.

    claim            conflicts with an earlier
    handle, shared   exclusive claim of the handle
    handle, excl.    any claim of the handle
    path, shared     exclusive claim of the path or of a directory above it
    path, entries    the same, and exclusive claim of anything below it
    path, exclusive  any claim of the path, any of a directory above it that is exclusive, any below it

A listing (`entries`) waits for the changes that were sent before it; those sent after it do not wait for the
listing, as a listing shows them or not. MKDIR claims the entries of the directory above too: a directory that
nobody made exists only while something is in it.

An exclusive claim waits for every earlier claim of its thing and of what is below it, so whatever conflicts
with one of those conflicts with it too. They are therefore dropped from the index when it comes. Listings of
a directory wait for what was sent before them through a barrier that they share. So a request is linked to
few others, and thousands that wait for each other cost no more than their number.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

PathNames = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """On a path (names from the root) or, when `handle` is not None, on a handle."""

    exclusive: bool
    path: PathNames = ()
    handle: int | None = None
    entries: bool = False
    """A shared claim of a path that covers what is in the directory: its listing."""


@dataclass(eq=False, slots=True)
class ScheduledRequest:
    """One request's place in the schedule."""

    claims: tuple[Claim, ...] = ()
    number: int = 0
    """In the order of arrival."""
    blockers: int = 0
    followers: list[ScheduledRequest] = field(default_factory=list)
    barrier_of: PathNames | None = None
    """Not a request: done as soon as the changes in this directory are that it waits for."""

    @property
    def ready(self) -> bool:
        return self.blockers == 0

    def wait_for(self, earlier: Iterable[ScheduledRequest]) -> None:
        """Be ready only after these, each named once."""
        for each in earlier:
            each.followers.append(self)
            self.blockers += 1


class Scheduler:
    """The requests that have arrived and not finished, in order."""

    def __init__(self) -> None:
        self._count = 0
        self._last_number = 0
        self._handles: dict[int, _Line] = {}
        self._paths = _Paths()

    def __len__(self) -> int:
        return self._count

    def admit(self, *claims: Claim) -> ScheduledRequest:
        """Take the next place. The ticket is ready at once, or `finish` of another returns it later."""
        self._last_number += 1
        ticket = ScheduledRequest(claims, self._last_number)
        earlier: dict[ScheduledRequest, None] = {}
        for claim in claims:
            earlier.update(dict.fromkeys(self._earlier(claim)))
        ticket.wait_for(earlier)
        for claim in claims:
            self._add(claim, ticket)
        self._count += 1
        return ticket

    def finish(self, ticket: ScheduledRequest) -> list[ScheduledRequest]:
        """Leave; returns the tickets that became ready, in order of arrival."""
        for claim in ticket.claims:
            if claim.handle is None:
                self._paths.discard(claim.path, ticket)
            elif (line := self._handles.get(claim.handle)) is not None and line.discard(ticket):
                del self._handles[claim.handle]
        self._count -= 1
        return self._done(ticket)

    def _done(self, ticket: ScheduledRequest) -> list[ScheduledRequest]:
        done, ready = [ticket], []
        for each in done:
            for follower in each.followers:
                follower.blockers -= 1
                if not follower.ready:
                    continue
                if follower.barrier_of is None:
                    ready.append(follower)
                else:
                    self._paths.passed(follower)
                    done.append(follower)
        if len(done) > 1:
            ready.sort(key=lambda follower: follower.number)
        return ready

    def _earlier(self, claim: Claim) -> Iterable[ScheduledRequest]:
        """The tickets that a claim must wait for; some may come twice."""
        if claim.handle is None:
            return self._paths.rivals(claim)
        line = self._handles.get(claim.handle)
        if line is None:
            return ()
        return line.all() if claim.exclusive else line.alone()

    def _add(self, claim: Claim, ticket: ScheduledRequest) -> None:
        if claim.handle is None:
            self._paths.add(claim, ticket)
        else:
            self._handles.setdefault(claim.handle, _Line()).add(ticket, exclusive=claim.exclusive)


class _Line:
    """Who has claimed one thing: the last who wants it alone, and those after him who share it."""

    __slots__ = ("_alone", "_sharing")

    def __init__(self) -> None:
        self._alone: ScheduledRequest | None = None
        self._sharing: dict[ScheduledRequest, None] = {}

    def all(self) -> list[ScheduledRequest]:
        return [*self.alone(), *self._sharing]

    def alone(self) -> tuple[ScheduledRequest, ...]:
        return () if self._alone is None else (self._alone,)

    def add(self, ticket: ScheduledRequest, *, exclusive: bool) -> None:
        if exclusive:
            self._alone = ticket
            self._sharing.clear()
        else:
            self._sharing[ticket] = None

    def discard(self, ticket: ScheduledRequest) -> bool:
        """Forget a ticket, if it has not been dropped; whether nobody is left."""
        if self._alone is ticket:
            self._alone = None
        self._sharing.pop(ticket, None)
        return self._alone is None and not self._sharing


class _Paths:
    """The lines of all claimed paths. In order, so that what is below a directory stands together."""

    def __init__(self) -> None:
        self._lines: dict[PathNames, _Line] = {}
        self._order: list[PathNames] = []
        self._depths: Counter[int] = Counter()
        """How many paths have so many names: only directories above of these depths can be claimed."""
        self._barriers: dict[PathNames, tuple[ScheduledRequest, dict[ScheduledRequest, None]]] = {}
        """By directory: the last barrier that is not passed, and the changes in it that came later."""

    def rivals(self, claim: Claim) -> Iterator[ScheduledRequest]:
        """The tickets that a claim of a path must wait for."""
        path = claim.path
        for depth in self._depths:
            if depth <= len(path) and (line := self._lines.get(path[:depth])) is not None:
                yield from line.alone()
        if claim.exclusive:
            for below in self._from(path):
                yield from self._lines[below].all()
        elif claim.entries:
            yield from self._changes_in(path)

    def add(self, claim: Claim, ticket: ScheduledRequest) -> None:
        path = claim.path
        if claim.exclusive:
            for below in self._from(path):
                self._drop(below)
        line = self._lines.get(path)
        if line is None:
            line = self._lines[path] = _Line()
            insort(self._order, path)
            self._depths[len(path)] += 1
        line.add(ticket, exclusive=claim.exclusive)
        if claim.exclusive:
            for _, later in self._barriers_above(path):
                later[ticket] = None

    def discard(self, path: PathNames, ticket: ScheduledRequest) -> None:
        """Forget a ticket, if it has not been dropped."""
        for _, later in self._barriers_above(path):
            later.pop(ticket, None)
        if (line := self._lines.get(path)) is not None and line.discard(ticket):
            self._drop(path)

    def passed(self, barrier: ScheduledRequest) -> None:
        """What the barrier stood for is done."""
        directory = barrier.barrier_of
        if directory is not None and directory in self._barriers and self._barriers[directory][0] is barrier:
            del self._barriers[directory]

    def _changes_in(self, directory: PathNames) -> list[ScheduledRequest]:
        """What a listing waits for: many changes by one barrier, which the next listing waits for too."""
        if directory in self._barriers:
            barrier, later = self._barriers[directory]
            changes = [barrier, *later]
        else:
            changes = [change for path in self._from(directory) for change in self._lines[path].alone()]
        if len(changes) < 2:
            return changes
        barrier = ScheduledRequest(barrier_of=directory)
        barrier.wait_for(changes)
        self._barriers[directory] = (barrier, {})
        return [barrier]

    def _barriers_above(self, path: PathNames) -> list[tuple[ScheduledRequest, dict[ScheduledRequest, None]]]:
        if not self._barriers:
            return []
        return [found for directory, found in self._barriers.items() if path[: len(directory)] == directory]

    def _from(self, path: PathNames) -> list[PathNames]:
        """The path and those below it that are claimed."""
        depth, start = len(path), bisect_left(self._order, path)
        stop = start
        while stop < len(self._order) and self._order[stop][:depth] == path:
            stop += 1
        return self._order[start:stop]

    def _drop(self, path: PathNames) -> None:
        del self._lines[path]
        del self._order[bisect_left(self._order, path)]
        self._depths[len(path)] -= 1
        if not self._depths[len(path)]:
            del self._depths[len(path)]
