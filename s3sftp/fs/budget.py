"""One byte budget for the file contents of all sessions of the process.

`fs/budget_ledger.py` counts and decides; here uploads wait for their turn. While any upload waits, the
budget is reviewed every second: old reservations expire, full chunks of idle clients are sent, and as a
last resort an upload that only blocks the others is aborted.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from s3sftp.errors import Busy, InvalidRequest
from s3sftp.fs.budget_ledger import BudgetLedger, SpaceRequest, WaitingUpload

_LOOK_SECONDS = 1.0


class BudgetHolder(Protocol):
    """An upload that takes room."""

    def send_if_full(self) -> None:
        """Bring its chunk on its way if it is complete and nothing has to be waited for."""

    def give_up(self, error: Exception) -> bool:
        """Fail for good, and hold nothing any more; False: it is in the middle of something."""


class ByteBudget:
    """Counts bytes."""

    def __init__(self, total: int, wait_seconds: float = 60.0) -> None:
        self.total = total
        self._ledger = BudgetLedger[BudgetHolder](total)
        self._wait_seconds = wait_seconds
        self._turns: dict[WaitingUpload[BudgetHolder], asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._readers: set[object] = set()

    @property
    def used(self) -> int:
        """Bytes in memory."""
        return self._ledger.used

    @property
    def peak(self) -> int:
        """The most that `used` has been."""
        return self._ledger.peak

    # ── readers: they never wait ────────────────────────────────────────────────────────────────────

    def enter(self, reader: object) -> None:
        """A reader takes room for what comes ahead of it. May be said again."""
        self._readers.add(reader)

    def leave(self, reader: object) -> None:
        """It takes none any more."""
        self._readers.discard(reader)

    def fair_share(self) -> int:
        """How much each reader may have come ahead: half of all, by the readers that there are."""
        return self.total // (2 * max(1, len(self._readers)))

    def try_ahead(self, count: int) -> bool:
        """Take room for read-ahead, if there is any: half of all at most, so that uploads find some."""
        return self._ledger.try_ahead(count)

    def need(self, count: int) -> None:
        """Take room that is bounded elsewhere: what a session's READs asked for."""
        self._ledger.need(count)

    def give_read(self, *, ahead: int, needed: int) -> None:
        """Give back what a reader took as either."""
        self._ledger.ahead -= ahead
        self._ledger.needed -= needed
        self._serve()

    # ── uploads ─────────────────────────────────────────────────────────────────────────────────────

    def try_reserved(self, owner: BudgetHolder, count: int) -> bool:
        """Take bytes for which the owner has a reservation: what `try_take` begins with."""
        return self._ledger.try_reserved(owner, count)

    def try_take(self, owner: BudgetHolder, ask: SpaceRequest) -> bool:
        """Take what is asked for if there is room now; otherwise, and while others wait, nothing happens."""
        return self._ledger.try_take(owner, ask, time.monotonic())

    async def take(self, owner: BudgetHolder, ask: SpaceRequest) -> None:
        """Wait in turn for room. Raises Busy when nobody got any for `wait_seconds`."""
        if self.try_take(owner, ask):
            return
        request = self._ledger.wait(owner, ask, time.monotonic())
        self._turns[request] = turn = asyncio.get_running_loop().create_future()
        self._serve()
        self._look_later()
        try:
            await turn
        except BaseException:
            self._withdraw(request, turn)
            raise
        finally:
            self._turns.pop(request, None)

    def give(self, owner: BudgetHolder, count: int) -> None:
        """An upload holds so much less."""
        if count:
            self._ledger.give(owner, count)
            self._serve()

    def send(self, owner: BudgetHolder, count: int) -> None:
        """So much of what an upload holds is on its way to the storage."""
        self._ledger.send(owner, count)

    def sent(self, count: int) -> None:
        """It is stored, or lost: its room is free."""
        self._ledger.on_the_way -= count
        self._serve()

    def end(self, owner: BudgetHolder) -> None:
        """The upload has ended: what it held or had reserved is free, and it waits for nothing."""
        for request in [each for each in self._ledger.queue if each.owner is owner]:
            self._refuse(request, InvalidRequest("the upload has ended"))
        self._ledger.end(owner)
        self._serve()

    # ── within ──────────────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        if not self._ledger.queue:
            return
        for request in self._ledger.serve(time.monotonic()):
            turn = self._turns[request]
            if turn.done():  # cancelled just now, so it never knows that it had room
                self._ledger.give(request.owner, request.ask.count)
            else:
                turn.set_result(None)

    def _withdraw(self, request: WaitingUpload[BudgetHolder], turn: asyncio.Future[None]) -> None:
        """Who leaves without its bytes gives back what it may just have got."""
        if request in self._ledger.queue:
            self._ledger.queue.remove(request)
        elif turn.done() and not turn.cancelled() and turn.exception() is None:
            self._ledger.give(request.owner, request.ask.count)
        self._serve()

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        for owner in self._ledger.tick(now):
            owner.send_if_full()
        self._serve()
        self._give_up_who_stands_in_the_way(now)
        for request in self._ledger.in_vain(now, self._wait_seconds):
            self._refuse(request, Busy("server is busy: too many uploads at once, try again later"))
        if self._ledger.queue:
            self._look_later()

    def _give_up_who_stands_in_the_way(self, now: float) -> None:
        patience = self._wait_seconds / 2
        for owner in self._ledger.standing_in_the_way(now, patience):
            if owner.give_up(Busy("server is busy: the upload paused while others waited for its memory")):
                self._serve()
                return
        if (request := self._ledger.hopeless(now, 1.5 * patience)) is not None:
            self._refuse(request, Busy("server is busy: too many bytes came ahead of others"))

    def _refuse(self, request: WaitingUpload[BudgetHolder], error: Exception) -> None:
        self._ledger.queue.remove(request)
        if not (turn := self._turns[request]).done():
            turn.set_exception(error)
