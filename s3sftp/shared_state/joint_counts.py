"""Has everybody tell what they have done at a place: before a refusal, and around a listing for all.

    settle   raises the epoch, and waits until all who live have told
    begin    takes the lease, and settles        ┐
    end      settles again                       ├ what remains uncertain is what has changed between
    share    writes the result, ends the lease   ┘

A process that is dead when a count begins is not waited for any more: what it had stored is in the listing,
and its share is dropped with the result. One that dies before the count ends may have changed something
that the listing has seen or not. Its claim stays, but its share is no longer its own, so that it tells what
it did as somebody without whom others have counted.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import partial

from s3sftp.backends import Amount
from s3sftp.fs.quota.counting import FRESH_SECONDS
from s3sftp.fs.quota.quotas import Tally
from s3sftp.shared_state.quota_place import SharedPlace
from s3sftp.shared_state.quota_records import QuotaRecord
from s3sftp.shared_state.quota_table import QuotaTable

_POLLS = 20
"""Whoever waits for others reads the table so many times an interval."""
_PATIENCE_INTERVALS = 2.5
"""So many intervals a refusal waits for others: who lives has told by then."""
_NONE = Amount()


class JointCounts:
    """What one process asks of all others."""

    def __init__(self, table: QuotaTable) -> None:
        self._table = table

    async def settle(self, at: SharedPlace) -> bool:
        """As `QuotaCounters.settle`."""
        begun = at.settlings
        async with at.settling:
            if at.settled > begun:  # it has begun after this one was refused, and serves both
                return at.was_helpful
            at.settlings += 1
            at.was_helpful = await self._settle(at)
            at.settled = at.settlings
            return at.was_helpful

    async def _settle(self, at: SharedPlace) -> bool:
        is_helpful = False

        async def settled() -> None:
            nonlocal is_helpful
            await self._table.refresh(at)
            if is_helpful := bool(self._table.others(at)):
                await self._others_have_told(at, _PATIENCE_INTERVALS * self._table.interval)

        return await self._table.answers(at, settled) and is_helpful

    async def begin(self, at: SharedPlace, known_at: float) -> Tally | None:
        """As `QuotaCounters.count_begins`. `known_at`: the time of the last count that was known."""
        may_count = True

        async def begun() -> None:
            nonlocal may_count
            if may_count := await self._may_count(at, known_at):
                await self._others_have_told(at)
                at.dead = self._table.dead(at)

        at.dead, at.unheard = {}, {}
        if not await self._table.answers(at, begun):
            at.counts = False
        return self._table.tally(at, silent=at.silent) if may_count else None

    async def end(self, at: SharedPlace) -> Tally:
        """As `QuotaCounters.count_ends`."""
        if not await self._table.answers(at, partial(self._others_have_told, at)):
            at.counts = False
        dead, epoch = self._table.dead(at), at.record.epoch
        at.unheard = {name: share for name, share in dead.items() if share.epoch < epoch}
        return self._table.tally(at, silent=at.silent)

    async def share(
        self, at: SharedPlace, stored: Amount, tally: Tally, counted_at: float, vague: int
    ) -> None:
        """As `QuotaCounters.set_stored`."""

        def decide(record: QuotaRecord) -> tuple[QuotaRecord, Amount | None] | None:
            share = None if at.share is None else _NONE
            if record.counter != self._table.process:
                return None
            if any(record.shares.get(name) != each for name, each in at.unheard.items()):
                # it is back, and has told just now what the listing may have found
                return replace(record, counted_at=0.0, counter="", counter_until=0.0), share
            record = record.without(at.dead).orphaned(at.unheard)
            return record.counted(stored, tally, counted_at, vague), share

        async with at.lock:
            is_shared = at.counts and await self._table.answers(at, lambda: self._table.write(at, decide))
            at.counts = False
            if not is_shared:  # it holds until the table answers: others may have changed something
                alone = at.record.without(self._table.dead(at))  # what they have stored was listed
                at.record = alone.counted(stored, tally, counted_at, vague)
                at.is_known = False

    async def give_up(self, at: SharedPlace) -> None:
        """As `QuotaCounters.count_is_over`."""

        def decide(record: QuotaRecord) -> tuple[QuotaRecord, Amount | None] | None:
            if record.counter != self._table.process:
                return None
            return replace(record, counter="", counter_until=0.0), None if at.share is None else _NONE

        if at.counts:
            async with at.lock:
                at.counts = False
                await self._table.answers(at, lambda: self._table.write(at, decide))

    async def _may_count(self, at: SharedPlace, known_at: float) -> bool:
        """Become the process that counts. Waits for another one that does. Returns False if somebody has
        counted since `known_at`, in seconds since 1970, and that is as good as a count now."""

        def is_counted() -> bool:
            now, counted_at = self._table.wall(), at.record.counted_at
            is_fresh = known_at < counted_at and 0 <= now - counted_at < FRESH_SECONDS
            return is_fresh and not self._table.tally(at).is_doubtful

        def decide(record: QuotaRecord) -> tuple[QuotaRecord, Amount | None] | None:
            now = self._table.wall()
            if is_counted() or (
                record.counter not in ("", self._table.process) and now < record.counter_until
            ):
                return None
            until = now + self._table.lease_seconds
            record = replace(record, counter=self._table.process, counter_until=until)
            return record, None if at.share is None else _NONE

        while True:
            async with at.lock:
                await self._table.read(at)
                if await self._table.write(at, decide):
                    at.counts = True
                    return True
                if is_counted():
                    return False
            await asyncio.sleep(self._table.interval / _POLLS)

    async def _others_have_told(self, at: SharedPlace, patience: float = math.inf) -> None:
        """Have everybody who lives tell everything, and give back what is not needed. Waits for those who do
        not answer until they count as dead, or for `patience`, in seconds, if that is less.

        Raises SourceFailed: if the table does not answer.
        """

        def decide(record: QuotaRecord) -> tuple[QuotaRecord, Amount | None]:
            return replace(record, epoch=record.epoch + 1), None if at.share is None else _NONE

        async with at.lock:
            await self._table.write(at, decide)
            epoch = at.record.epoch
        until = self._table.clock() + patience
        while any(share.epoch < epoch for share in self._table.others(at)) and self._table.clock() < until:
            await asyncio.sleep(self._table.interval / _POLLS)
            async with at.lock:
                await self._table.read(at)
