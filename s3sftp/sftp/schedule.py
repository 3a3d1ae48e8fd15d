"""Which requests may run at once, and which must wait for earlier ones. Pure.

Clients pipeline CLOSE, RENAME, SETSTAT without waiting for answers and mean them in that order. So each
request claims what it touches, in order of arrival; it waits for earlier requests with a conflicting claim.

    claim            conflicts with an earlier
    handle, shared   exclusive claim of the handle
    handle, excl.    any claim of the handle
    path, shared     exclusive claim of the path or of a directory above it
    path, exclusive  any claim of the path, any of a directory above it that is exclusive, any below it
"""

from __future__ import annotations

from dataclasses import dataclass, field

PathNames = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """On a path (names from the root) or, when `handle` is not None, on a handle."""

    exclusive: bool
    path: PathNames = ()
    handle: int | None = None

    def follows(self, earlier: Claim) -> bool:
        """Whether this claim must wait for an earlier one."""
        if not (self.exclusive or earlier.exclusive):
            return False
        if self.handle is not None or earlier.handle is not None:
            return self.handle == earlier.handle
        return self._path_follows(earlier)

    def _path_follows(self, earlier: Claim) -> bool:
        if self.path == earlier.path:
            return True
        if earlier.exclusive and self.path[: len(earlier.path)] == earlier.path:
            return True
        return self.exclusive and earlier.path[: len(self.path)] == self.path


@dataclass(eq=False, slots=True)
class Ticket:
    """One request's place in the schedule."""

    claims: tuple[Claim, ...]
    blockers: int = 0
    followers: list[Ticket] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return self.blockers == 0


class Schedule:
    """The requests that have arrived and not finished, in order.

    Found by what they claim, so that thousands of READs of one handle cost nothing to each other.
    """

    def __init__(self) -> None:
        self._count = 0
        self._on_handles: dict[int, _Live] = {}
        self._on_paths = _Live()

    def __len__(self) -> int:
        return self._count

    def admit(self, *claims: Claim) -> Ticket:
        """Take the next place. The ticket is ready at once, or `finish` of another returns it later."""
        ticket = Ticket(claims)
        for earlier in self._earlier(claims):
            earlier.followers.append(ticket)
            ticket.blockers += 1
        for claim in claims:
            self._live_at(claim).add(ticket, exclusive=claim.exclusive)
        self._count += 1
        return ticket

    def finish(self, ticket: Ticket) -> list[Ticket]:
        """Leave; returns the tickets that became ready, in order of arrival."""
        for claim in ticket.claims:
            live = self._live_at(claim)
            live.discard(ticket)
            if claim.handle is not None and not live:
                del self._on_handles[claim.handle]
        self._count -= 1
        for follower in ticket.followers:
            follower.blockers -= 1
        return [follower for follower in ticket.followers if follower.ready]

    def _earlier(self, claims: tuple[Claim, ...]) -> list[Ticket]:
        """The tickets that one with these claims must wait for, each once."""
        found: dict[Ticket, None] = {}
        for claim in claims:
            for earlier in self._live_at(claim).rivals(exclusive=claim.exclusive):
                if any(claim.follows(other) for other in earlier.claims):
                    found[earlier] = None
        return list(found)

    def _live_at(self, claim: Claim) -> _Live:
        if claim.handle is None:
            return self._on_paths
        return self._on_handles.setdefault(claim.handle, _Live())


class _Live:
    """Tickets with a claim on one handle, or on any path, in order of arrival."""

    def __init__(self) -> None:
        self._shared: dict[Ticket, None] = {}
        self._exclusive: dict[Ticket, None] = {}

    def __len__(self) -> int:
        return len(self._shared) + len(self._exclusive)

    def add(self, ticket: Ticket, *, exclusive: bool) -> None:
        (self._exclusive if exclusive else self._shared)[ticket] = None

    def discard(self, ticket: Ticket) -> None:
        self._exclusive.pop(ticket, None)
        self._shared.pop(ticket, None)

    def rivals(self, *, exclusive: bool) -> list[Ticket]:
        """Those that a claim could have to wait for: a shared one waits for exclusive ones alone."""
        return [*self._exclusive, *self._shared] if exclusive else list(self._exclusive)
