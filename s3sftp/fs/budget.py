"""Limits the memory for file contents of all sessions of the process: one byte budget.

`fs/budget_ledger.py` counts and decides; this module makes uploads wait for their turn. While any upload
waits, the budget is reviewed every second: old reservations expire, full chunks of idle clients are sent, and
as a last resort an upload that only blocks the others is aborted.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from s3sftp.errors import Busy, InvalidRequest
from s3sftp.fs.budget_ledger import BudgetLedger, SpaceRequest, WaitingUpload

_REVIEW_SECONDS = 1.0


class BudgetHolder(Protocol):
    """An upload that takes bytes from the budget."""

    def send_if_full(self) -> None:
        """Send the current chunk if it is complete and can be sent without waiting."""

    def give_up(self, error: Exception) -> bool:
        """Fail permanently and release all bytes. Returns False, and does nothing, if a call is under way."""


class ByteBudget:
    """The byte budget. Readers never wait for it; uploads wait in the order of their requests.

    `total` is in bytes. `wait_seconds` is how long an upload waits while none gets any bytes.
    """

    def __init__(self, total: int, wait_seconds: float = 60.0) -> None:
        self.total = total
        self._ledger = BudgetLedger[BudgetHolder](total)
        self._wait_seconds = wait_seconds
        self._turns: dict[WaitingUpload[BudgetHolder], asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._readers: set[object] = set()

    @property
    def used(self) -> int:
        """Bytes of file contents in memory."""
        return self._ledger.used

    @property
    def peak(self) -> int:
        """The maximum that `used` has reached, in bytes."""
        return self._ledger.peak

    # ── readers: they never wait ────────────────────────────────────────────────────────────────────

    def enter(self, reader: object) -> None:
        """Count a reader among those that share the read-ahead. Does nothing if it is counted already."""
        self._readers.add(reader)

    def leave(self, reader: object) -> None:
        """Stop counting a reader."""
        self._readers.discard(reader)

    def fair_share(self) -> int:
        """The maximum read-ahead of each reader in bytes: half of the total by the number of readers."""
        return self.total // (2 * max(1, len(self._readers)))

    def try_ahead(self, count: int) -> bool:
        """Take `count` bytes for read-ahead if they fit. Read-ahead gets at most half of the total, so that
        uploads can proceed. Returns whether the bytes were taken."""
        return self._ledger.try_ahead(count)

    def need(self, count: int) -> None:
        """Take `count` bytes for READs. They always fit, because the limits of sessions bound them."""
        self._ledger.need(count)

    def release_read(self, *, ahead: int, needed: int) -> None:
        """Give back bytes that a reader took with `try_ahead` or `need`."""
        self._ledger.ahead -= ahead
        self._ledger.needed -= needed
        self._serve()

    # ── uploads ─────────────────────────────────────────────────────────────────────────────────────

    def try_reserved(self, owner: BudgetHolder, count: int) -> bool:
        """Take `count` bytes of the owner's reservation if it has as many, as `try_acquire` does first."""
        return self._ledger.try_reserved(owner, count)

    def try_acquire(self, owner: BudgetHolder, ask: SpaceRequest) -> bool:
        """Take the requested bytes if they fit now and no request waits. Returns whether they were taken."""
        return self._ledger.try_acquire(owner, ask, time.monotonic())

    async def acquire(self, owner: BudgetHolder, ask: SpaceRequest) -> None:
        """Take the requested bytes, and wait in turn for them.

        Raises Busy: if no upload has got any bytes for `wait_seconds`; InvalidRequest: if the upload ends.
        """
        if self.try_acquire(owner, ask):
            return
        request = self._ledger.wait(owner, ask, time.monotonic())
        self._turns[request] = turn = asyncio.get_running_loop().create_future()
        self._serve()
        self._schedule_review()
        try:
            await turn
        except BaseException:
            self._withdraw(request, turn)
            raise
        finally:
            self._turns.pop(request, None)

    def release(self, owner: BudgetHolder, count: int) -> None:
        """Give back `count` bytes that an upload holds."""
        if count:
            self._ledger.release(owner, count)
            self._serve()

    def send(self, owner: BudgetHolder, count: int) -> None:
        """Move `count` bytes that an upload holds to those being stored."""
        self._ledger.send(owner, count)

    def sent(self, count: int) -> None:
        """Give back `count` bytes of a chunk that has been stored or has failed."""
        self._ledger.on_the_way -= count
        self._serve()

    def end(self, owner: BudgetHolder) -> None:
        """End an upload: release what it holds or has reserved, and refuse its waiting requests."""
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
            if turn.done():  # cancelled just now, so the caller cannot give the bytes back
                self._ledger.release(request.owner, request.ask.count)
            else:
                turn.set_result(None)

    def _withdraw(self, request: WaitingUpload[BudgetHolder], turn: asyncio.Future[None]) -> None:
        """Remove a request that stops waiting, and give back the bytes that it may just have got."""
        if request in self._ledger.queue:
            self._ledger.queue.remove(request)
        elif turn.done() and not turn.cancelled() and turn.exception() is None:
            self._ledger.release(request.owner, request.ask.count)
        self._serve()

    def _schedule_review(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_REVIEW_SECONDS, self._review)

    def _review(self) -> None:
        self._timer = None
        now = time.monotonic()
        for owner in self._ledger.tick(now):
            owner.send_if_full()
        self._serve()
        self._give_up_who_stands_in_the_way(now)
        for request in self._ledger.in_vain(now, self._wait_seconds):
            self._refuse(request, Busy("server is busy: too many uploads at once, try again later"))
        if self._ledger.queue:
            self._schedule_review()

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
