"""Shares the bans of one server with its replicas: writes its own to the table, and reads the others'.

    Defender ── a ban, a lift ──► pending ──► table          at once, in the background; first bans: at most
                                                             so many every `interval`
    Defender ◄─ bans, lifts ◄──────────────── table          every `interval`, one Query
    Defender ── points ──► totals of all replicas            every `interval`, see shared_scores.py

One process of each server does this, the one with the admission gate; no login waits for it. While the table
does not answer, the server goes on with what it knows, and what is pending is written afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice

from s3sftp.auth import Ban, Defender
from s3sftp.auth.defender import OPERATOR
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.shared_state.ban_records import BANS, CLOCKS_SECONDS, BanRecord, prevails, record_of
from s3sftp.shared_state.shared_scores import SharedScores
from s3sftp.shared_state.table import Only, SharedTable
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metric_catalogue import SHARED_STATE_DOWN
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.shared_state")
_FULL_READ_EVERY = 60
"""Of so many reads one asks for all bans, the others for those that have changed lately."""
_MAX_PENDING = 10_000
"""Maximum number of changes that wait for the table."""
_MAX_WRITES = 200
"""Maximum number of changes that are written in one turn."""
_MAX_FIRST_BANS = 20
"""Maximum number of first bans of a source for its offences that are written between two reads: whoever has
many addresses can cause as many of them."""
_READ_AT_ONCE = 50
"""So many records of a read are dealt with before other tasks may run."""
_AT_ONCE = 8
_MAX_TRIES = 4
_START_SECONDS = 0.1


class BanSharing:
    """Keeps the bans of a `Defender` and of the table alike. Call `start`, then run `run` until the end."""

    def __init__(
        self,
        table: SharedTable,
        defender: Callable[[], Defender | None],
        replica: str,
        *,
        interval: float,
        memory_seconds: float,
        window_seconds: float,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`defender` returns None until the server listens. `replica` is this server's name. Times are in
        seconds; `memory_seconds` and `window_seconds` are those of the `BanPolicy`."""
        self._now = wall_clock
        self._table = table
        self._get_defender = defender
        self._replica = replica
        self._interval = interval
        self._memory_seconds = memory_seconds
        self._scores = SharedScores(table, window_seconds)
        self._metrics = metrics
        self._defender: Defender | None = None
        self._pending: dict[str, BanRecord] = {}
        """What is to be written, by sort key."""
        self._seen: dict[str, str] = {}
        """The version of each item that this server knows, by sort key."""
        self._first_bans_left = _MAX_FIRST_BANS
        """Number of first bans that may be written before the next read."""
        self._reads = 0
        self._read_at = 0.0
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self.is_down = False
        """Whether the table did not answer the last time."""

    @property
    def pending(self) -> int:
        """Number of changes that the others cannot know yet, without first bans, which may have to wait."""
        return sum(not record.is_first_ban for record in self._pending.values())

    async def start(self) -> None:
        """Find out whether the table can be used. A table that does not answer now may do so later.

        Raises ConfigurationError: if it does not exist, has other keys, or lacks a permission.
        """
        await self._table.start()
        try:
            await self._table.check(self._replica)
        except SourceFailed as failed:
            self._failed(failed)
        else:
            _log.info("shared_state.up", place=self._table.place)

    async def run(self) -> None:
        """Write and read until cancelled."""
        while True:
            try:
                await self.exchange(may_skip_reading=True)
            except Exception:
                _log.exception("shared_state.crashed")
                await asyncio.sleep(self._interval)
            if self._defender is None:
                await asyncio.sleep(_START_SECONDS)
                continue
            if self.is_down or not self._due():
                await self._until_due()

    async def exchange(self, *, may_skip_reading: bool = False) -> None:
        """Write what is pending and read what the others have written. `may_skip_reading`: unless that was
        done within the interval."""
        async with self._turn:
            defender = self._defender or self._attach()
            if defender is None:
                return
            try:
                await self._write(defender)
                if not may_skip_reading or self.is_down or time.monotonic() - self._read_at >= self._interval:
                    await self._read(defender)
                    await self._scores.exchange(defender, self._now())
            except SourceFailed as failed:
                self._failed(failed)
            else:
                self._answered()

    async def _until_due(self) -> None:
        """Wait for the next read; or, if the table answers, for a change."""
        left = self._read_at + self._interval - time.monotonic()
        if self.is_down:
            await asyncio.sleep(self._interval)
        else:
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()

    def _attach(self) -> Defender | None:
        defender = self._defender = self._get_defender()
        if defender is not None:
            for ban, remaining in defender.bans():
                self._pend(self._record(ban, remaining, by_operator=ban.reason == OPERATOR))
            defender.changed = self._changed
            defender.counted = lambda source, points: self._scores.add(source, points, self._now())
        return defender

    def _changed(self, source: str, ban: Ban | None, by_operator: bool) -> None:
        if ban is not None:
            self._pend(self._record(ban, ban.seconds, by_operator=by_operator))
        else:  # also if no ban is known here: another replica may have written one since the last read
            self._pend(BanRecord.lifted(source, self._now(), self._replica, by_operator=by_operator))

    def _record(self, ban: Ban, remaining: float, *, by_operator: bool) -> BanRecord:
        return BanRecord.of(ban, remaining, self._now(), self._replica, by_operator=by_operator)

    def _pend(self, record: BanRecord) -> None:
        self._pending[record.key] = record
        if len(self._pending) > _MAX_PENDING:
            bans = (key for key, each in self._pending.items() if not each.is_lifted)
            del self._pending[next(bans, record.key)]
        if not record.is_first_ban or self._first_bans_left > 0:
            self._wake.set()

    # -- writing

    def _due(self) -> list[BanRecord]:
        """The changes that may be written now, lifts first; first bans wait if there are too many."""
        others = [record for record in self._pending.values() if not record.is_first_ban]
        others.sort(key=lambda record: not record.is_lifted)
        firsts = (record for record in self._pending.values() if record.is_first_ban)
        return [*others, *islice(firsts, self._first_bans_left)][:_MAX_WRITES]

    async def _write(self, defender: Defender) -> None:
        changes = self._due()
        self._first_bans_left -= sum(record.is_first_ban for record in changes)
        for first in range(0, len(changes), _AT_ONCE):
            some = changes[first : first + _AT_ONCE]
            publishing = (self._publish(record, defender) for record in some)
            for failure in await asyncio.gather(*publishing, return_exceptions=True):
                if failure is not None:
                    raise failure

    async def _publish(self, record: BanRecord, defender: Defender) -> None:
        """Write a change, unless one that prevails over it has been written meanwhile; take over that one
        then, unless this server has changed its mind by then."""
        is_over = not record.is_lifted and record.until + self._memory_seconds <= self._now()
        for _ in range(0 if is_over else _MAX_TRIES):
            if await self._put(record):
                self._seen[record.key] = record.version
                if not record.by_operator:
                    await self._scores.forget(record.source, self._now())
                break
            item = await self._table.get(BANS, record.key)
            theirs = record_of(item) if item else None
            if theirs is not None and not prevails(record, theirs):
                if self._pending.get(record.key) is record:
                    self._take(theirs, defender)
                else:  # something else has been decided here meanwhile, which is written next
                    self._seen[record.key] = theirs.version
                break
            self._seen[record.key] = str(item.get("version", "")) if item else ""
        else:
            if not is_over:
                return  # others change it all the time: the next turn tries again
        if self._pending.get(record.key) is record:
            del self._pending[record.key]

    async def _put(self, record: BanRecord) -> bool:
        seen = self._seen.get(record.key, "")
        # the latter if it is repeated
        only = Only("attribute_not_exists(#version) OR #version = :version", {})
        if seen:
            only = Only(f"{only.condition} OR #version = :seen", {"seen": seen})
        sets = record.attributes(self._memory_seconds)
        return await self._table.update(BANS, record.key, sets, only=only) is not None

    # -- reading

    async def _read(self, defender: Defender) -> None:
        is_full = self.is_down or self._reads % _FULL_READ_EVERY == 0
        began, now = time.monotonic(), int(self._now())
        since = None if is_full else now - CLOCKS_SECONDS - int(self._interval)
        items = await self._table.query(BANS, since)
        keys: set[str] = set()
        for number, item in enumerate(items, 1):
            if number % _READ_AT_ONCE == 0:
                await asyncio.sleep(0)
            if (record := record_of(item)) is None:
                continue
            keys.add(record.key)
            if self._seen.get(record.key) != record.version and record.key not in self._pending:
                self._take(record, defender, tells=self._reads > 0)
        if is_full:
            self._seen = {key: version for key, version in self._seen.items() if key in keys}
        self._reads, self._read_at = self._reads + 1, began
        self._first_bans_left = _MAX_FIRST_BANS

    def _take(self, record: BanRecord, defender: Defender, *, tells: bool = True) -> None:
        """Do what another replica has decided, or this one before its start."""
        self._seen[record.key] = record.version
        by_operator = record.by_operator
        if record.is_lifted:
            if defender.end(record.source, by_operator=by_operator) and tells:
                _log.info("source.unban_received", source=record.source, replica=record.replica)
            return
        ban = record.ban(self._now())
        if defender.adopt(ban, by_operator=by_operator) and tells:
            _log.info(
                "source.ban_received",
                source=record.source,
                replica=record.replica,
                reason=record.reason,
                seconds=round(ban.until, 1),
            )

    # -- whether the table answers

    def _failed(self, failed: SourceFailed) -> None:
        if not self.is_down:
            self.is_down = True
            self._metrics.add(SHARED_STATE_DOWN.row(), 1)
            _log.error("shared_state.down", place=self._table.place, reason=str(failed))

    def _answered(self) -> None:
        if self.is_down:
            self.is_down = False
            self._metrics.add(SHARED_STATE_DOWN.row(), -1)
            _log.info("shared_state.up", place=self._table.place)
