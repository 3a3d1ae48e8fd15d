"""Accounts for the byte budget and decides which upload gets bytes next. Pure: no await, no clock.

    total ─┬─ held        bytes of uploads that wait in memory for the rest of their chunk
           ├─ reserved    bytes that uploads may still need to complete the chunks that they have begun
           ├─ on the way  chunks that are being stored
           └─ ahead       read-ahead: at most half of the total

Uploads request bytes in turn, and by whole chunks. Small files are the exception: they take only the bytes
that they need now, without a reservation, together at most a quarter of the total. As the last resort, if no
chunk is being stored and no other upload fills a reservation, an upload may exceed the total by its own
chunk. Whenever no chunk is being stored, this invariant holds for some upload:

    held + ahead + (what it still needs to complete its chunk) ≤ total + (that chunk)

Hence it can continue until its chunk is complete, and once that is stored the rest fits into the total again.
Memory never exceeds the total and one chunk. Only a client that sends nothing can block others:
`standing_in_the_way` finds its upload.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Owner = TypeVar("Owner")

FILL_SECONDS = 10.0
"""An upload that does not fill its chunk within this time loses the rest of its reservation."""


@dataclass(eq=False, slots=True)
class _Holding:
    """The bytes that one upload holds and has reserved."""

    held: int = 0
    reserved: int = 0
    reserved_at: float = 0.0
    loose: int = 0
    """The bytes of `held` that a small file took without a reservation."""
    taken: int = 0
    """All bytes that the upload has ever taken."""
    seen: int = 0
    moved_at: float | None = None
    """When `tick` last found that the upload has taken more bytes."""


@dataclass(frozen=True, slots=True)
class SpaceRequest:
    """An upload's request for bytes."""

    count: int
    """Bytes to hold now."""
    rest: int
    """All bytes that its chunk still needs, including these."""
    own: int = 0
    """Bytes of its chunk that it holds already: in the last resort they do not count against the total."""
    small: bool = False
    """Whether the file may be small, so that a reservation is not worth it."""
    behind: bool = False
    """Whether the bytes lie behind the current chunk, so that they do not help to complete it."""

    @property
    def wanted(self) -> int:
        """The bytes that must fit into the total."""
        return self.count if self.behind else max(self.count, self.rest)


@dataclass(eq=False, slots=True)
class WaitingUpload(Generic[Owner]):
    """A request in the queue for bytes."""

    owner: Owner
    ask: SpaceRequest
    asked_at: float


class BudgetLedger(Generic[Owner]):
    """The accounts of the byte budget. `now` is in seconds on any monotonic clock."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.peak = 0
        self.on_the_way = 0
        self.ahead = 0
        self.needed = 0
        """Bytes for running READs. The limits of sessions bound them, so they neither wait nor delay
        uploads."""
        self._held = 0
        self._reserved = 0
        self._least = max(1, total // 4096)
        """An upload that takes fewer bytes than this between two calls of `tick` counts as silent."""
        self._loose = 0
        self._holdings: dict[Owner, _Holding] = {}
        self.queue: deque[WaitingUpload[Owner]] = deque()
        self._served_at = float("-inf")
        self._favoured: Owner | None = None
        """The upload that may exceed the total until its chunk is being stored. Only one may at a time."""

    @property
    def used(self) -> int:
        """Bytes of file contents in memory."""
        return self._held + self.on_the_way + self.ahead + self.needed

    @property
    def committed(self) -> int:
        """The bytes of the total that are taken or promised, without `needed`."""
        return self._held + self._reserved + self.on_the_way + self.ahead

    # ── readers ─────────────────────────────────────────────────────────────────────────────────────

    def try_ahead(self, count: int) -> bool:
        """Take bytes for read-ahead, which is optional: waiting uploads go first, and half of the total is
        theirs. Returns whether the bytes were taken."""
        fits = self.ahead + count <= self.total // 2 and self.committed + self.needed + count <= self.total
        if self.queue or not fits:
            return False
        self.ahead += count
        self._count()
        return True

    def need(self, count: int) -> None:
        """Take bytes for READs, which the limits of sessions bound."""
        self.needed += count
        self._count()

    # ── uploads ─────────────────────────────────────────────────────────────────────────────────────

    def try_reserved(self, owner: Owner, count: int) -> bool:
        """Take `count` bytes of the owner's reservation if it has as many left. Returns whether it did."""
        holding = self._holdings.get(owner)
        if holding is None or holding.reserved < count:
            return False
        holding.reserved -= count
        self._reserved -= count
        self._hold(holding, count)
        return True

    def try_acquire(self, owner: Owner, ask: SpaceRequest, now: float) -> bool:
        """Take the requested bytes if they fit now and no request waits. Returns whether they were taken."""
        if not ask.behind and self.try_reserved(owner, ask.count):
            return True
        if self._may_be_loose(ask):
            self._acquire_loose(owner, ask)
            return True
        if self.queue or not self._fits(owner, ask):
            return False
        self._grant(owner, ask, now)
        return True

    def wait(self, owner: Owner, ask: SpaceRequest, now: float) -> WaitingUpload[Owner]:
        """Add a request to the queue. `serve` returns it when it has its bytes."""
        request = WaitingUpload(owner, ask, now)
        self.queue.append(request)
        return request

    def serve(self, now: float) -> list[WaitingUpload[Owner]]:
        """Grant waiting requests as far as possible. Returns those that have their bytes now."""
        served = []
        while (request := self._next() or self._last_resort(now)) is not None:
            self.queue.remove(request)
            if self._may_be_loose(request.ask):
                self._acquire_loose(request.owner, request.ask)
            else:
                self._grant(request.owner, request.ask, now)
            self._served_at = now
            served.append(request)
        return served

    def release(self, owner: Owner, count: int) -> None:
        """Give back `count` bytes that an upload holds."""
        if (holding := self._holdings.get(owner)) is not None:
            self._let_go(holding, count)

    def send(self, owner: Owner, count: int) -> None:
        """Move `count` held bytes to those being stored. A remaining reservation is for the next chunk."""
        self.release(owner, count)
        self.on_the_way += count
        self._favour_no_longer(owner)

    def end(self, owner: Owner) -> None:
        """End an upload: release what it holds and has reserved."""
        if (holding := self._holdings.pop(owner, None)) is not None:
            self._let_go(holding, holding.held)
            self._reserved -= holding.reserved
        self._favour_no_longer(owner)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> list[Owner]:
        """Expire old reservations; called while requests wait, because a slow or silent client must not block
        the others. Returns the uploads that hold bytes and have taken next to none since the last call.
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
        """The uploads that hold bytes and have taken none for `seconds`, if they block all others.

        The one that has been silent for longest comes first.
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
        """The requests that have waited for `seconds` while no request was granted."""
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
        """The request that may exceed the total if nothing under way could free bytes: that of one upload,
        until its chunk is being stored.

        The upload that holds most of its chunk goes first, until the first in the queue has waited for more
        than `FILL_SECONDS`.
        """
        if self.on_the_way or self._filling:
            return None
        able = [each for each in self.queue if self._may_exceed(each.owner, each.ask)]
        mine = [each for each in self.queue if each.owner is self._favoured]
        if not able or (
            self._favoured is not None and not mine
        ):  # the client of the favoured upload is about to send more
            return None
        late = now - able[0].asked_at > FILL_SECONDS
        chosen = max(able, key=lambda each: (each.owner is self._favoured, late or each.ask.own))
        self._favoured = chosen.owner
        return chosen

    def _favour_no_longer(self, owner: Owner) -> None:
        if self._favoured is owner:
            self._favoured = None

    def _is_stuck(self, now: float, seconds: float) -> bool:
        """Whether the first request has waited for `seconds` and nothing under way could free bytes."""
        if not self.queue or self.on_the_way or self._filling:
            return False
        return now - max(self.queue[0].asked_at, self._served_at) >= seconds

    @property
    def _filling(self) -> int:
        """The bytes reserved by uploads that do not wait, which may complete their chunks."""
        owners = {request.owner for request in self.queue}
        waiting = (self._holdings[owner].reserved for owner in owners if owner in self._holdings)
        return self._reserved - sum(waiting)

    def _held_by(self, owner: Owner) -> int:
        holding = self._holdings.get(owner)
        return holding.held if holding is not None else 0

    def _others(self, owner: Owner) -> int:
        """The committed bytes without the owner's reservation."""
        holding = self._holdings.get(owner)
        return self.committed - (holding.reserved if holding is not None else 0)

    def _fits(self, owner: Owner, ask: SpaceRequest) -> bool:
        committed = self.committed if ask.behind else self._others(owner)
        return committed + ask.wanted <= self.total

    def _may_exceed(self, owner: Owner, ask: SpaceRequest) -> bool:
        """Whether everything except the owner's complete chunk fits into the total: the last resort."""
        beside = ask.count if ask.behind else 0
        return self._others(owner) + beside - ask.own <= self.total

    def _may_be_loose(self, ask: SpaceRequest) -> bool:
        return (
            ask.small
            and self._loose + ask.count <= self.total // 4
            and self.committed + ask.count <= self.total
        )

    def _acquire_loose(self, owner: Owner, ask: SpaceRequest) -> None:
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
