"""What quotas count, shared by all replicas: `QuotaCounters` in the table, as one process uses them.

    take    does it fit into what this process has set aside?   yes: at once, without a request
                                                                no: one write sets more aside, if it fits
    turn    every `interval`: tells what was done, gives back what is not needed
    counts  see `joint_counts`

A process that takes often sets some more aside than it needs, so that small files do not cost a write each.
One whose share has ended is taken for dead: the next count finds what it has stored, and frees its claim.

While the table does not answer, the process goes on with the numbers that it knows, and tells the others
afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from s3sftp.backends import Amount
from s3sftp.errors import Busy
from s3sftp.fs.quota import QuotaCounters
from s3sftp.fs.quota.quotas import NO_QUOTA, NOTHING, Counts, Quota, Taken, Tally
from s3sftp.shared_state.joint_counts import JointCounts
from s3sftp.shared_state.quota_place import SharedPlace
from s3sftp.shared_state.quota_records import QuotaRecord, is_within, spare_within
from s3sftp.shared_state.quota_table import Overtaken, QuotaTable
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.shared_state")
_NONE = Amount()


class SharedQuotas(QuotaCounters):
    """The numbers of all replicas. `run` tells the others, until it is cancelled; then call `stop`."""

    def __init__(self, table: QuotaTable, identify: Callable[[str, str], str]) -> None:
        """`identify` returns what all replicas call a place, from the name of its storage and its key
        there."""
        self._table = table
        self._counts = JointCounts(table)
        self._identify = identify
        self._places: dict[str, SharedPlace] = {}
        """By their keys in the table: two names may stand for one place."""
        self._named: dict[str, SharedPlace] = {}

    # ── looking and taking ──────────────────────────────────────────────────────────────────────────

    async def tally(self, place: str) -> Tally:
        at = self._place(place)
        if not at.is_known:
            await self._table.refresh(at, once=True)
        return self._table.tally(at)

    async def look(self, place: str) -> Tally:
        at = self._place(place)
        await self._table.refresh(at)
        return self._table.tally(at, spares=False)

    async def take(self, place: str, more: Amount, grows: Amount, quota: Quota) -> Taken:
        at = self._place(place)
        if not self._has(at, more, grows, quota):
            async with at.lock:
                if not self._has(at, more, grows, quota):  # it may have got some while this one waited
                    return await self._take(at, more, grows, quota)
        at.took(more, self._table.clock())
        return Taken(self._table.tally(at))

    def book(self, place: str, more: Counts) -> None:
        at = self._place(place)
        at.own = at.own + more

    def _has(self, at: SharedPlace, more: Amount, grows: Amount, quota: Quota) -> bool:
        """Whether more was set aside before, within a quota, and nothing that is known speaks against it."""
        if not at.covers(more, self._table.clock()):
            return False
        if grows == _NONE:
            return True
        used = self._table.tally(at).used + more
        return is_within(at.proven, quota) and quota.exceeded_by(grows, used) is None

    async def _take(self, at: SharedPlace, more: Amount, grows: Amount, quota: Quota) -> Taken:
        """Set aside what more needs, unless it is refused by what the table says now.

        Raises Busy: if others write to the item all the time: what is known of it is never the present state.
        """
        taken = Taken(self._table.tally(at))
        is_overtaken = False

        def decide(record: QuotaRecord) -> tuple[QuotaRecord, Amount] | None:
            nonlocal taken
            taken = self._checked(at, grows, quota)
            if taken.limit is not None:
                return None
            wanted = at.growth if at.growths > 1 else _NONE
            return record, self._spare(at, quota, wanted)

        async def claimed() -> None:
            nonlocal is_overtaken
            try:
                if not await self._table.write(at, decide):
                    await self._table.read(at)
                    await self._table.write(at, decide)
            except Overtaken:
                is_overtaken = True
                raise

        at.took(more, self._table.clock())
        if await self._table.answers(at, claimed):
            if taken.limit is None:
                at.proven = NO_QUOTA if at.record.stored is None else quota
        elif is_overtaken:
            at.own = at.own + Counts(held=_NONE - more)
            raise Busy(detail="other processes change what is counted here all the time")
        else:
            taken = self._checked(at, grows, quota)
            at.is_astray = at.is_astray or at.share is None
        if taken.limit is not None:
            at.own = at.own + Counts(held=_NONE - more)
        return taken

    def _checked(self, at: SharedPlace, grows: Amount, quota: Quota) -> Taken:
        """Whether what is held fits, by what is known."""
        tally = self._table.tally(at)
        return Taken(tally, None if tally.stored is None else quota.exceeded_by(grows, tally.used))

    def _spare(self, at: SharedPlace, quota: Quota, wanted: Amount) -> Amount:
        """How much of what is wanted may be set aside beyond what is held."""
        tally = self._table.tally(at)
        if tally.stored is None or self._table.clock() < at.tight_until:
            return _NONE
        return spare_within(quota, tally.used, wanted)

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Do what is due at all places, every interval, until cancelled."""
        while True:
            await asyncio.sleep(self._table.interval * random.uniform(0.8, 1.0))  # noqa: S311
            try:
                await self.turn()
            except Exception:
                _log.exception("shared_state.crashed")

    async def turn(self) -> None:
        """Do what is due at all places once."""
        for at in list(self._places.values()):
            is_done = at.share is None and at.is_quiet and not at.attempts and not at.counts
            is_done = is_done and at.is_known and not self._has_useless_lease(at)
            if is_done and not self._table.is_down:  # else somebody has to find out when it answers again
                continue
            if not await self._table.answers(at, partial(self._turn, at)) and self._table.is_down:
                return

    async def stop(self) -> None:
        """Tell the others everything, and give everything back. Nothing may be under way any more."""
        for at in self._places.values():
            if at.share is None and at.is_quiet:
                continue
            at.taken_at = -math.inf
            if not await self._table.answers(at, partial(self._turn, at)) and self._table.is_down:
                break
        await self._table.close()

    async def _turn(self, at: SharedPlace) -> None:
        async with at.lock:
            if not self._is_due(at):
                await self._table.read(at)
                if not at.attempts and (at.share is None or at.share.epoch >= at.record.epoch):
                    return  # else it writes: what was lost on its way to the table cannot arrive then
            await self._table.write(at, partial(self._told, at))
            at.growth, at.growths = _NONE, 0

    def _is_due(self, at: SharedPlace) -> bool:
        """Whether there is something to write, whatever the others do."""
        now, interval, lease = self._table.clock(), self._table.interval, self._table.lease_seconds
        if at.counts and self._table.wall() > at.record.counter_until - lease / 2:
            return True
        if self._has_useless_lease(at):
            return True
        if at.share is None:
            return not at.is_quiet
        if now > at.ends - lease / 2 or not at.covers(_NONE, now):
            return True
        if now - at.taken_at >= interval:
            return at.untold != NOTHING or at.share.spare != _NONE or at.has_no_part
        return at.untold != NOTHING and now - at.told_at >= 2 * interval

    def _has_useless_lease(self, at: SharedPlace) -> bool:
        """Whether others wait for a count of this process whose result it cannot share any more."""
        return at.record.counter == self._table.process and not at.counts

    def _told(self, at: SharedPlace, record: QuotaRecord) -> tuple[QuotaRecord, Amount | None]:
        """What a turn writes: this process keeps what it holds, and what it may need soon."""
        is_idle = self._table.clock() - at.taken_at >= self._table.interval
        if at.counts and record.counter == self._table.process:
            record = replace(record, counter_until=self._table.wall() + self._table.lease_seconds)
        elif record.counter == self._table.process:
            record = replace(record, counter="", counter_until=0.0)
        if is_idle:
            return record, None if at.has_no_part else _NONE
        return record, self._spare(at, at.proven, at.growth if at.growths > 1 else _NONE)

    # ── counting ────────────────────────────────────────────────────────────────────────────────────

    async def settle(self, place: str) -> bool:
        return await self._counts.settle(self._place(place))

    async def count_begins(self, place: str, known: Tally | None) -> Tally | None:
        return await self._counts.begin(self._place(place), math.inf if known is None else known.counted_at)

    async def count_ends(self, place: str) -> Tally:
        return await self._counts.end(self._place(place))

    async def set_stored(
        self, place: str, stored: Amount, at: Tally, counted_at: float, vague: int = 0
    ) -> None:
        await self._counts.share(self._place(place), stored, at, counted_at, vague)

    async def count_is_over(self, place: str) -> None:
        await self._counts.give_up(self._place(place))

    # ── places ──────────────────────────────────────────────────────────────────────────────────────

    def _place(self, name: str) -> SharedPlace:
        if name not in self._named:
            storage, _, key = name.partition("\0")
            text = self._identify(storage, key).encode("utf-8", "surrogatepass")
            # a digest: the keys of a table may be seen by more people than the names of partners
            digest = hashlib.sha256(text).hexdigest()
            self._named[name] = self._places.setdefault(digest, SharedPlace(digest, key, storage))
        return self._named[name]
