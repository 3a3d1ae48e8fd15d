"""Decides which requests may run now and which wait for earlier ones with conflicting claims. Pure.

Clients pipeline CLOSE, RENAME and SETSTAT without waiting for answers, and expect them to run in that order.
Therefore each request claims what it touches, in the order of arrival, and waits for earlier requests with a
conflicting claim.

    claim            conflicts with an earlier
    handle, shared   exclusive claim of the handle
    handle, excl.    any claim of the handle
    path, shared     exclusive claim of the path or of a directory above it
    path, entries    the same, and exclusive claim of anything below it
    path, exclusive  any claim of the path, any of a directory above it that is exclusive, any below it

A listing (`entries`) waits for the changes that were sent before it. Changes sent after it do not wait for
the listing, which may show them or not. MKDIR also claims the entries of the parent directory, because a
directory without a marker exists only while it has entries.

An exclusive claim waits for every earlier claim of its path or handle and of everything below it, so a later
request that conflicts with one of those also conflicts with the exclusive claim. The index therefore drops
the earlier claims when an exclusive one arrives. Listings of a directory share a barrier that waits for all
earlier changes. Hence each request is linked to few others, and the cost of thousands that wait for each
other is linear in their number.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

PathNames = tuple[bytes, ...]


class Claim(NamedTuple):
    """A claim of a path (names from the root) or, if `handle` is not None, of a handle."""

    exclusive: bool
    path: PathNames = ()
    handle: int | None = None
    entries: bool = False
    """A shared claim that also covers the entries of the directory, such as a listing."""


@dataclass(eq=False, slots=True)
class ScheduledRequest:
    """One request in the schedule, or a barrier."""

    claims: tuple[Claim, ...] = ()
    number: int = 0
    """The position in the order of arrival."""
    blockers: int = 0
    followers: list[ScheduledRequest] = field(default_factory=list)
    barrier_of: PathNames | None = None
    """Set if this is a barrier: it is done as soon as the changes in this directory that it waits for are."""

    @property
    def ready(self) -> bool:
        return self.blockers == 0

    def wait_for(self, earlier: Iterable[ScheduledRequest]) -> None:
        """Become ready only after these requests, which must be distinct."""
        for each in earlier:
            each.followers.append(self)
            self.blockers += 1


class Scheduler:
    """The requests that have arrived and have not finished, in order."""

    def __init__(self) -> None:
        self._count = 0
        self._last_number = 0
        self._handles: dict[int, _Line] = {}
        self._paths = _Paths()

    def __len__(self) -> int:
        return self._count

    def admit(self, *claims: Claim) -> ScheduledRequest:
        """Add a request at the end. It is ready at once, or the `finish` of another one returns it later."""
        self._last_number += 1
        scheduled = ScheduledRequest(claims, self._last_number)
        earlier: dict[ScheduledRequest, None] = {}
        for claim in claims:
            earlier.update(dict.fromkeys(self._earlier(claim)))
        scheduled.wait_for(earlier)
        for claim in claims:
            self._add(claim, scheduled)
        self._count += 1
        return scheduled

    def finish(self, scheduled: ScheduledRequest) -> list[ScheduledRequest]:
        """Remove a request. Returns the requests that became ready, in the order of arrival."""
        for claim in scheduled.claims:
            if claim.handle is None:
                self._paths.discard(claim.path, scheduled)
            elif (line := self._handles.get(claim.handle)) is not None and line.discard(scheduled):
                del self._handles[claim.handle]
        self._count -= 1
        return self._done(scheduled)

    def _done(self, scheduled: ScheduledRequest) -> list[ScheduledRequest]:
        done, ready = [scheduled], []
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
        """The requests that a claim must wait for, possibly with duplicates."""
        if claim.handle is None:
            return self._paths.rivals(claim)
        line = self._handles.get(claim.handle)
        if line is None:
            return ()
        return line.all() if claim.exclusive else line.alone()

    def _add(self, claim: Claim, scheduled: ScheduledRequest) -> None:
        if claim.handle is None:
            self._paths.add(claim, scheduled)
        else:
            self._handles.setdefault(claim.handle, _Line()).add(scheduled, exclusive=claim.exclusive)


class _Line:
    """The claims of one path or handle: the last exclusive one, and the shared ones after it."""

    __slots__ = ("_alone", "_sharing")

    def __init__(self) -> None:
        self._alone: ScheduledRequest | None = None
        self._sharing: dict[ScheduledRequest, None] = {}

    def all(self) -> list[ScheduledRequest]:
        return [*self.alone(), *self._sharing]

    def alone(self) -> tuple[ScheduledRequest, ...]:
        return () if self._alone is None else (self._alone,)

    def add(self, scheduled: ScheduledRequest, *, exclusive: bool) -> None:
        if exclusive:
            self._alone = scheduled
            self._sharing.clear()
        else:
            self._sharing[scheduled] = None

    def discard(self, scheduled: ScheduledRequest) -> bool:
        """Remove a request, if it has not been dropped. Returns whether no claim is left."""
        if self._alone is scheduled:
            self._alone = None
        self._sharing.pop(scheduled, None)
        return self._alone is None and not self._sharing


class _Paths:
    """All claimed paths, sorted, so that everything below a directory is consecutive."""

    def __init__(self) -> None:
        self._lines: dict[PathNames, _Line] = {}
        self._order: list[PathNames] = []
        self._depths: Counter[int] = Counter()
        """The number of claimed paths by depth, so that only directories at these depths are looked up."""
        self._barriers: dict[PathNames, tuple[ScheduledRequest, dict[ScheduledRequest, None]]] = {}
        """By directory: the last barrier that is not done, and the changes that arrived after it."""

    def rivals(self, claim: Claim) -> Iterator[ScheduledRequest]:
        """The requests that a claim of a path must wait for."""
        path = claim.path
        for depth in self._depths:
            if depth <= len(path) and (line := self._lines.get(path[:depth])) is not None:
                yield from line.alone()
        if claim.exclusive:
            for below in self._from(path):
                yield from self._lines[below].all()
        elif claim.entries:
            yield from self._changes_in(path)

    def add(self, claim: Claim, scheduled: ScheduledRequest) -> None:
        path = claim.path
        if claim.exclusive:
            for below in self._from(path):
                self._drop(below)
        line = self._lines.get(path)
        if line is None:
            line = self._lines[path] = _Line()
            insort(self._order, path)
            self._depths[len(path)] += 1
        line.add(scheduled, exclusive=claim.exclusive)
        if claim.exclusive:
            for _, later in self._barriers_above(path):
                later[scheduled] = None

    def discard(self, path: PathNames, scheduled: ScheduledRequest) -> None:
        """Remove a request, if it has not been dropped."""
        for _, later in self._barriers_above(path):
            later.pop(scheduled, None)
        if (line := self._lines.get(path)) is not None and line.discard(scheduled):
            self._drop(path)

    def passed(self, barrier: ScheduledRequest) -> None:
        """Remove a barrier, because everything it waited for is done."""
        directory = barrier.barrier_of
        if directory is not None and directory in self._barriers and self._barriers[directory][0] is barrier:
            del self._barriers[directory]

    def _changes_in(self, directory: PathNames) -> list[ScheduledRequest]:
        """What a listing waits for: a change, or a barrier that stands for several and serves other listings
        too."""
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
        """The claimed paths at and below a path."""
        if not self._order:
            return []
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
