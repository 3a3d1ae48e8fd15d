"""One byte budget for the file contents of all sessions of the process.

    total ─┬─ used       bytes in memory: parts of chunks, chunks on their way, read-ahead
           └─ reserved   what uploads that have begun a chunk may still need to complete it

An upload reserves a whole chunk before it fills it: then it never holds part of one while it waits for the
rest, and a full budget means that chunks are on their way, not that all wait for each other. Who does not
fill its chunk in time loses the rest of the reservation, and who has waited takes bytes without one. As the
last resort, when nothing is on its way and nobody has a reservation, one waiter a second may exceed it.
Peak: the budget and one chunk, and a little for each second in which clients only send parts of chunks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from s3sftp.errors import Busy

_FILL_SECONDS = 10.0
_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class _Reservation:
    left: int
    since: float


@dataclass(slots=True)
class _Waiter:
    owner: object
    count: int
    want: int
    may_exceed: bool
    turn: asyncio.Future[None]


class Budget:
    """Counts bytes."""

    def __init__(self, total: int, wait_seconds: float = 60.0) -> None:
        self.total = total
        self.used = 0
        self.peak = 0
        self._on_the_way = 0
        self._wait_seconds = wait_seconds
        self._waiters: deque[_Waiter] = deque()
        self._exceeded_at = float("-inf")
        self._reservations: dict[object, _Reservation] = {}
        self._readers: set[object] = set()

    def enter(self, reader: object) -> None:
        """A reader takes room for what comes ahead of it. May be said again."""
        self._readers.add(reader)

    def leave(self, reader: object) -> None:
        """It takes none any more."""
        self._readers.discard(reader)

    def fair_share(self) -> int:
        """How much each reader may have come ahead: half of all, by the readers that there are, so that
        uploads, and those who come later, find room."""
        return self.total // (2 * max(1, len(self._readers)))

    def try_take(self, count: int, owner: object, want: int) -> bool:
        """Take `count` bytes if there is room now; otherwise, and while others wait, nothing happens.

        `want` is what should be reserved with it, at least `count`: the rest of the owner's chunk.
        """
        if self._take_reserved(count, owner):
            return True
        if self._waiters or self._committed() + want > self.total:
            return False
        self._grant(owner, count, want)
        return True

    def force(self, count: int) -> None:
        """Take room that is bounded elsewhere, such as what a session's READs asked for."""
        self.used += count
        self.peak = max(self.peak, self.used)

    def has_room(self, count: int) -> bool:
        """Whether something that can do without, such as read-ahead, may take so much."""
        return not self._waiters and self._committed() + count <= self.total

    async def take(self, count: int, owner: object, want: int, *, may_exceed: bool = True) -> None:
        """Wait in turn for room. Raises Busy after `wait_seconds`.

        `may_exceed` says that the bytes bring a chunk nearer to being sent, as the last resort must.
        """
        if self.try_take(count, owner, want):
            return
        turn = asyncio.get_running_loop().create_future()
        waiter = _Waiter(owner, count, want, may_exceed, turn)
        self._waiters.append(waiter)
        self._serve()
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not waiter.turn.done():
                    await asyncio.wait([waiter.turn], timeout=_LOOK_SECONDS)
                    waiter.want = count  # it has waited: better the bytes alone than nothing
                    self._drop_stale()
                    self._serve()
        except BaseException as error:
            self._leave(waiter)
            if isinstance(error, TimeoutError):
                raise Busy("server is busy: too many uploads at once, try again later") from None
            raise

    def send(self, count: int, owner: object) -> None:
        """The owner's chunk is on its way: it gives back what it had reserved beyond it."""
        self._on_the_way += count
        self.end_turn(owner)

    def sent(self, count: int) -> None:
        """A chunk is stored, or lost: its room is free."""
        self._on_the_way -= count
        self.give(count)

    def give(self, count: int) -> None:
        """Give room back."""
        self.used -= count
        self._serve()

    def end_turn(self, owner: object) -> None:
        """Give a reservation back."""
        if self._reservations.pop(owner, None) is not None:
            self._serve()

    def _committed(self) -> int:
        return self.used + sum(each.left for each in self._reservations.values())

    def _take_reserved(self, count: int, owner: object) -> bool:
        """The last bytes of a chunk usually come with the first of the next, which need no reservation."""
        reservation = self._reservations.get(owner)
        if reservation is None or reservation.left <= 0:
            return False
        reservation.left = max(0, reservation.left - count)
        self.force(count)
        return True

    def _grant(self, owner: object, count: int, want: int) -> None:
        self._reservations.pop(owner, None)
        self.force(count)
        if want > count:
            now = asyncio.get_running_loop().time()
            self._reservations[owner] = _Reservation(want - count, now)

    def _serve(self) -> None:
        while (waiter := self._next_waiter()) is not None:
            self._waiters.remove(waiter)
            self._grant(waiter.owner, waiter.count, waiter.want)
            waiter.turn.set_result(None)

    def _next_waiter(self) -> _Waiter | None:
        if not self._waiters:
            return None
        head = self._waiters[0]
        mine = self._reservations.get(head.owner)
        if self._committed() - (mine.left if mine else 0) + head.want <= self.total:
            return head
        now = head.turn.get_loop().time()
        recently = self.used > self.total and now - self._exceeded_at < _LOOK_SECONDS
        if self._reservations or self._on_the_way or recently:
            return None
        chosen = next((waiter for waiter in self._waiters if waiter.may_exceed), None)
        self._exceeded_at = now if chosen else self._exceeded_at
        return chosen

    def _leave(self, waiter: _Waiter) -> None:
        """Who leaves without its bytes gives back what it may just have got."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._serve()
        elif waiter.turn.done():
            self.give(waiter.count)

    def _drop_stale(self) -> None:
        """A client that sends slowly, or has stopped, must not hold up the others."""
        now = asyncio.get_running_loop().time()
        stale = [owner for owner, each in self._reservations.items() if now - each.since > _FILL_SECONDS]
        for owner in stale:
            del self._reservations[owner]
        if stale:
            self._serve()
