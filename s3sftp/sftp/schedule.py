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
    """The requests that have arrived and not finished, in order."""

    def __init__(self) -> None:
        self._live: dict[Ticket, None] = {}

    def __len__(self) -> int:
        return len(self._live)

    def admit(self, *claims: Claim) -> Ticket:
        """Take the next place. The ticket is ready at once, or `finish` of another returns it later."""
        ticket = Ticket(claims)
        for earlier in self._live:
            if any(claim.follows(other) for claim in claims for other in earlier.claims):
                earlier.followers.append(ticket)
                ticket.blockers += 1
        self._live[ticket] = None
        return ticket

    def finish(self, ticket: Ticket) -> list[Ticket]:
        """Leave; returns the tickets that became ready, in order of arrival."""
        del self._live[ticket]
        for follower in ticket.followers:
            follower.blockers -= 1
        return [follower for follower in ticket.followers if follower.ready]

    def is_claimed(self, handle: int) -> bool:
        """Whether a request on this handle is under way."""
        return any(claim.handle == handle for ticket in self._live for claim in ticket.claims)
