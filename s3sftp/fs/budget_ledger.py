"""What of the byte budget is taken, and who gets room next. Pure: no await, no clock.

    total ─┬─ held        bytes of uploads that wait in memory for the rest of their chunk
           ├─ reserved    what uploads that have begun a chunk may still need to complete it
           ├─ on the way  chunks that are being stored
           └─ ahead       what readers have come ahead: half of the total at most

Room is asked for in turn, and by whole chunks. Small files are the exception: they take bytes alone, a
quarter of the total together. As the last resort, when nothing is on its way and nobody else fills a
reservation, an upload may exceed the total by its own chunk. Whenever nothing is on its way, this is true of
some upload:

    held + ahead + (what it still needs to complete its chunk) ≤ total + (that chunk)

So it can go on until its chunk is complete, and once that is stored the rest fits into the total again.
Memory never is more than the total and one chunk. Only a client that sends nothing can stand in the way of
others: `standing_in_the_way` names it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Owner = TypeVar("Owner")

FILL_SECONDS = 10.0
"""Who does not complete its chunk in so long loses what is left of the reservation."""


@dataclass(eq=False, slots=True)
class _Holding:
    """One upload's part."""

    held: int = 0
    reserved: int = 0
    reserved_at: float = 0.0
    loose: int = 0
    """What of `held` was taken by a small file, without a reservation."""
    taken: int = 0
    """All that it ever took."""
    seen: int = 0
    moved_at: float | None = None
    """When `tick` last found that it has taken more."""


@dataclass(frozen=True, slots=True)
class SpaceRequest:
    """What an upload wants."""

    count: int
    """Bytes to hold now."""
    rest: int
    """All that its chunk still needs, these bytes included."""
    own: int = 0
    """What of its chunk it holds already: as the last resort others must fit into the total without it."""
    small: bool = False
    """The file may be small, so that a reservation is not worth it."""
    behind: bool = False
    """The bytes lie behind the chunk, which misses earlier ones: they do not complete it."""

    @property
    def wanted(self) -> int:
        """What there must be room for."""
        return self.count if self.behind else max(self.count, self.rest)


@dataclass(eq=False, slots=True)
class WaitingUpload(Generic[Owner]):
    """An upload that waits for room."""

    owner: Owner
    ask: SpaceRequest
    asked_at: float


class BudgetLedger(Generic[Owner]):
    """Counts, and decides. `now` is in seconds of any clock that does not go back."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.peak = 0
        self.on_the_way = 0
        self.ahead = 0
        self.needed = 0
        """What readers need now: bounded by what sessions may ask for, so it neither waits nor makes wait."""
        self._held = 0
        self._reserved = 0
        self._least = max(1, total // 4096)
        """Who takes less in a while counts as silent."""
        self._loose = 0
        self._holdings: dict[Owner, _Holding] = {}
        self.queue: deque[WaitingUpload[Owner]] = deque()
        self._served_at = float("-inf")
        self._favoured: Owner | None = None
        """Who exceeds the total, until its chunk is on its way: what is beyond is for one alone."""

    @property
    def used(self) -> int:
        """Bytes in memory."""
        return self._held + self.on_the_way + self.ahead + self.needed

    @property
    def committed(self) -> int:
        """What uploads must fit into the total beside."""
        return self._held + self._reserved + self.on_the_way + self.ahead

    # ── readers ─────────────────────────────────────────────────────────────────────────────────────

    def try_ahead(self, count: int) -> bool:
        """Take room for what can be done without. Uploads that wait go first, and half of it is theirs."""
        fits = self.ahead + count <= self.total // 2 and self.committed + self.needed + count <= self.total
        if self.queue or not fits:
            return False
        self.ahead += count
        self._count()
        return True

    def need(self, count: int) -> None:
        """Take room that is bounded elsewhere."""
        self.needed += count
        self._count()

    # ── uploads ─────────────────────────────────────────────────────────────────────────────────────

    def try_reserved(self, owner: Owner, count: int) -> bool:
        """Take bytes of the owner's reservation, if it has so many left."""
        holding = self._holdings.get(owner)
        if holding is None or holding.reserved < count:
            return False
        holding.reserved -= count
        self._reserved -= count
        self._hold(holding, count)
        return True

    def try_take(self, owner: Owner, ask: SpaceRequest, now: float) -> bool:
        """Take what is asked for if there is room now; otherwise, and while others wait, nothing happens."""
        if not ask.behind and self.try_reserved(owner, ask.count):
            return True
        if self._may_be_loose(ask):
            self._take_loose(owner, ask)
            return True
        if self.queue or not self._fits(owner, ask):
            return False
        self._grant(owner, ask, now)
        return True

    def wait(self, owner: Owner, ask: SpaceRequest, now: float) -> WaitingUpload[Owner]:
        """Stand in line; `serve` says when it is this one's turn."""
        request = WaitingUpload(owner, ask, now)
        self.queue.append(request)
        return request

    def serve(self, now: float) -> list[WaitingUpload[Owner]]:
        """Those whose turn has come: they have what they asked for."""
        served = []
        while (request := self._next() or self._last_resort(now)) is not None:
            self.queue.remove(request)
            if self._may_be_loose(request.ask):
                self._take_loose(request.owner, request.ask)
            else:
                self._grant(request.owner, request.ask, now)
            self._served_at = now
            served.append(request)
        return served

    def give(self, owner: Owner, count: int) -> None:
        """An upload holds so much less."""
        if (holding := self._holdings.get(owner)) is not None:
            self._let_go(holding, count)

    def send(self, owner: Owner, count: int) -> None:
        """So much of what it holds is on its way. What it has reserved beyond is for its next chunk."""
        self.give(owner, count)
        self.on_the_way += count
        self._favour_no_longer(owner)

    def end(self, owner: Owner) -> None:
        """The upload has ended: nothing is kept for it."""
        if (holding := self._holdings.pop(owner, None)) is not None:
            self._let_go(holding, holding.held)
            self._reserved -= holding.reserved
        self._favour_no_longer(owner)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> list[Owner]:
        """While some wait: take back reservations that are too old, because a client that sends slowly, or
        has stopped, must not hold up the others. Returns who holds bytes and took none since last time.
        """
        still = []
        for owner, holding in self._holdings.items():
            if holding.reserved and now - holding.reserved_at > FILL_SECONDS:
                self._reserved -= holding.reserved
                holding.reserved = 0
            if holding.taken - holding.seen >= self._least or holding.moved_at is None:
                holding.seen, holding.moved_at = holding.taken, now
            elif holding.held:
                still.append(owner)
                if now - holding.moved_at > FILL_SECONDS:
                    self._favour_no_longer(owner)
        return still

    def standing_in_the_way(self, now: float, seconds: float) -> list[Owner]:
        """Uploads that hold bytes and took none for so long, if it is they for whom nobody can go on.

        The one that did so for longest is the first.
        """
        if not self._is_stuck(now, seconds):
            return []
        waiting = {request.owner for request in self.queue}
        idle = [
            (holding.moved_at, number, owner)
            for number, (owner, holding) in enumerate(self._holdings.items())
            if holding.held and owner not in waiting and holding.moved_at is not None
        ]
        return [
            owner
            for moved_at, _, owner in sorted(idle, key=lambda each: each[:2])
            if now - moved_at >= seconds
        ]

    def hopeless(self, now: float, seconds: float) -> WaitingUpload[Owner] | None:
        """The waiting upload to refuse when nobody has got memory for `seconds`; None while somebody can.

        Its bytes are too far ahead of a gap, and the client sends what fills the gap behind them. Of several
        it is the one that holds most, because only what it holds helps the others.
        """
        if not self._is_stuck(now, seconds):
            return None
        ahead_of_gap = [each for each in self.queue if each.ask.behind]
        return max(ahead_of_gap, key=lambda each: self._held_by(each.owner), default=None)

    def in_vain(self, now: float, seconds: float) -> list[WaitingUpload[Owner]]:
        """Those that have waited for so long while nobody got any room."""
        return [each for each in self.queue if now - max(each.asked_at, self._served_at) >= seconds]

    # ── within ──────────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> WaitingUpload[Owner] | None:
        if not self.queue:
            return None
        head = self.queue[0]
        if self._may_be_loose(head.ask) or self._fits(head.owner, head.ask):
            return head
        return None

    def _last_resort(self, now: float) -> WaitingUpload[Owner] | None:
        """Who may exceed the total, when nothing goes on that could make room: one until its chunk is sent.

        First who needs least for that, but nobody waits for very long because of those that need less.
        """
        if self.on_the_way or self._filling:
            return None
        able = [each for each in self.queue if self._may_exceed(each.owner, each.ask)]
        mine = [each for each in self.queue if each.owner is self._favoured]
        if not able or (
            self._favoured is not None and not mine
        ):  # the client of the one is about to send more
            return None
        late = now - able[0].asked_at > FILL_SECONDS
        chosen = max(able, key=lambda each: (each.owner is self._favoured, late or each.ask.own))
        self._favoured = chosen.owner
        return chosen

    def _favour_no_longer(self, owner: Owner) -> None:
        if self._favoured is owner:
            self._favoured = None

    def _is_stuck(self, now: float, seconds: float) -> bool:
        """Whether the first has waited for so long, and nothing goes on that could make room."""
        if not self.queue or self.on_the_way or self._filling:
            return False
        return now - max(self.queue[0].asked_at, self._served_at) >= seconds

    @property
    def _filling(self) -> int:
        """What is reserved by those who do not wait themselves: they may complete their chunks."""
        owners = {request.owner for request in self.queue}
        waiting = (self._holdings[owner].reserved for owner in owners if owner in self._holdings)
        return self._reserved - sum(waiting)

    def _held_by(self, owner: Owner) -> int:
        holding = self._holdings.get(owner)
        return holding.held if holding is not None else 0

    def _others(self, owner: Owner) -> int:
        """What is committed, without the owner's reservation."""
        holding = self._holdings.get(owner)
        return self.committed - (holding.reserved if holding is not None else 0)

    def _fits(self, owner: Owner, ask: SpaceRequest) -> bool:
        committed = self.committed if ask.behind else self._others(owner)
        return committed + ask.wanted <= self.total

    def _may_exceed(self, owner: Owner, ask: SpaceRequest) -> bool:
        """The last resort: all but the owner's chunk, complete, is within the total."""
        beside = ask.count if ask.behind else 0
        return self._others(owner) + beside - ask.own <= self.total

    def _may_be_loose(self, ask: SpaceRequest) -> bool:
        return (
            ask.small
            and self._loose + ask.count <= self.total // 4
            and self.committed + ask.count <= self.total
        )

    def _take_loose(self, owner: Owner, ask: SpaceRequest) -> None:
        holding = self._holdings.setdefault(owner, _Holding())
        holding.loose += ask.count
        self._loose += ask.count
        self._hold(holding, ask.count)

    def _grant(self, owner: Owner, ask: SpaceRequest, now: float) -> None:
        holding = self._holdings.setdefault(owner, _Holding())
        if not ask.behind:
            self._reserved += ask.wanted - ask.count - holding.reserved
            holding.reserved, holding.reserved_at = ask.wanted - ask.count, now
            self._loose -= holding.loose
            holding.loose = 0
        self._hold(holding, ask.count)

    def _hold(self, holding: _Holding, count: int) -> None:
        holding.held += count
        holding.taken += count
        self._held += count
        self._count()

    def _let_go(self, holding: _Holding, count: int) -> None:
        holding.held -= count
        self._held -= count
        if holding.loose > holding.held:
            self._loose -= holding.loose - holding.held
            holding.loose = holding.held

    def _count(self) -> None:
        self.peak = max(self.peak, self.used)
