"""Reads and writes the items of counted places. Each write replaces a version of the item, or does nothing.

Whoever is refused because the item is another one by now reads it, decides anew, and tries again. So what is
decided holds at the moment at which it is written, and of two at once one is the first.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial

from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.backends import Amount
from s3sftp.errors import ConfigurationError
from s3sftp.fs.quota.quotas import NOTHING, Tally
from s3sftp.runtime.backoff import Backoff
from s3sftp.shared_state.quota_place import SharedPlace
from s3sftp.shared_state.quota_records import (
    QUOTAS,
    QuotaRecord,
    QuotaShare,
    attributes,
    record_in,
    tally_of,
)
from s3sftp.shared_state.table import Only, SharedTable
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import SHARED_STATE_DOWN
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.shared_state")
_LEASE_INTERVALS = 12
"""A share ends after so many intervals, unless it is written again."""
_GRACE_INTERVALS = 3
"""So many intervals later others take its process for dead: clocks differ."""
_KEPT_SECONDS = 30 * 86400
"""How long a place that nobody changes is remembered. Then it is counted again."""
_MAX_TRIES = 100
_LOG_SECONDS = 60.0
"""A place that is not served is logged so often."""
_PAUSES = Backoff(0.005, 0.25)
"""Between the tries of a write that others have overtaken."""
_NONE = Amount()
Decide = Callable[[QuotaRecord], tuple[QuotaRecord, Amount | None] | None]
"""What to write in place of a record, and what to set aside beyond what is held; None: no share. None alone:
nothing is written."""


class Overtaken(SourceFailed):
    """Other processes write to an item all the time."""

    def __init__(self) -> None:
        super().__init__("other processes write to the same item all the time", "error", is_down=False)


class QuotaTable:
    """The table of places, as one process uses it."""

    def __init__(
        self,
        table: SharedTable,
        *,
        interval: float,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interval` is in seconds. The table is started when it is first asked."""
        self.process = secrets.token_hex(6)
        """The name of this process in the table."""
        self.interval = interval
        self.wall, self.clock = wall_clock, clock
        self.lease_seconds = _LEASE_INTERVALS * interval
        self.grace_seconds = _GRACE_INTERVALS * interval
        self._table = table
        self._metrics = metrics
        self._starting = asyncio.Lock()
        self._is_started = False
        self._asks_again_at = 0.0
        self._throttle = LogThrottle(_LOG_SECONDS)
        self.is_down = False
        """Whether the table did not answer the last time."""

    async def close(self) -> None:
        """Close all connections."""
        await self._table.close()

    async def answers(self, place: SharedPlace, ask: Callable[[], Awaitable[object]]) -> bool:
        """Ask about a place, unless the table did not answer within the interval. Returns whether it has
        answered.

        An item that is throttled, or that others write to all the time, is no outage: the table answers for
        others. It is logged for each place.
        """
        if self.is_down and self.clock() < self._asks_again_at:
            return False
        try:
            async with self._starting:
                if not self._is_started:
                    await self._table.start()
                    self._is_started = True
            await ask()
        except (SourceFailed, ConfigurationError) as failed:
            if isinstance(failed, Overtaken) or getattr(failed, "result", "") == "throttled":
                self._answered()
                self._unserved(place, str(failed))
            else:
                self._failed(str(failed))
            return False
        self._answered()
        return True

    async def read(self, place: SharedPlace, *, once: bool = False) -> None:
        """Read a place, whose lock is held. `once`: unless that was done before, and all is known of what
        was written.

        Raises SourceFailed: if the table does not answer.
        """
        if once and place.is_known and not place.attempts:
            return
        record = record_in(await self._table.get(QUOTAS, place.key))
        place.read(record, self.process, self.clock(), self.wall(), 2 * self.interval)

    async def refresh(self, place: SharedPlace, *, once: bool = False) -> None:
        """Read a place as `read` does, if the table answers. Takes its lock."""
        async with place.lock:
            await self.answers(place, partial(self.read, place, once=once))

    async def write(self, place: SharedPlace, decide: Decide) -> bool:
        """Write what is decided about the present record of a place, whose lock is held, and tell everything
        by that. Returns whether anything was written.

        Raises SourceFailed: if the table does not answer; it may have been done.
        Raises Overtaken: if others are first each time; nothing was written.
        """
        for tries in range(1, _MAX_TRIES + 1):
            await self.read(place, once=True)
            decided = decide(place.record)
            if decided is None:
                return False
            if await self._replace(place, *decided, pause=_PAUSES.delay(tries) * random.random()):  # noqa: S311
                return True
        raise Overtaken

    async def _replace(
        self, place: SharedPlace, record: QuotaRecord, spare: Amount | None, *, pause: float
    ) -> bool:
        """Replace the record of a place. Returns whether that was done. If others were first, it is read
        anew after the pause, in seconds, so that what is decided next is about the present one."""
        share = None
        if spare is not None or (place.share is None and place.untold != NOTHING):
            share = self._share(place, record, spare or _NONE)
        if place.is_astray:  # what it tells may have been counted: everybody has to count again
            record = replace(record, counted_at=0.0)
            if record.counter != self.process:
                record = replace(record, counter="", counter_until=0.0)
        attempt = place.attempt(share, self.clock(), self.lease_seconds)
        new = record.told(place.untold).with_share(self.process, share)
        only = Only("attribute_not_exists(#version) OR #version = :version", {})
        if attempt.replaces:  # the latter if the request is repeated
            only = Only("#version = :seen OR #version = :version", {"seen": attempt.replaces})
        sets = attributes(new, int(self.wall()) + _KEPT_SECONDS)
        item = await self._table.update(QUOTAS, place.key, sets, only=only)
        if item is None:
            await asyncio.sleep(pause)
            await self.read(place)
        else:
            place.wrote(attempt, self.clock(), self.wall())
            place.record = record_in(item)
        return attempt.was_done

    # ── what is known ───────────────────────────────────────────────────────────────────────────────

    def tally(self, place: SharedPlace, *, silent: Collection[str] = (), spares: bool = True) -> Tally:
        """What this process knows of a place; the arguments are those of `tally_of`."""
        return tally_of(
            place.record,
            self.process,
            place.own,
            untold=place.untold,
            silent=silent,
            spares=spares,
            is_doubtful=bool(self.dead(place)) or place.doubtful_at > place.record.counted_at,
        )

    def dead(self, place: SharedPlace) -> dict[str, QuotaShare]:
        """The shares of processes that are taken for dead."""
        return place.record.dead(self.wall(), self.grace_seconds)

    def others(self, place: SharedPlace) -> list[QuotaShare]:
        """The shares of other processes that live."""
        dead = self.dead(place)
        others = place.record.others(self.process)
        return [share for name, share in others.items() if name not in dead]

    def _share(self, place: SharedPlace, record: QuotaRecord, spare: Amount) -> QuotaShare:
        own = place.own
        return QuotaShare(
            claim=own.held.above_zero + spare,
            spare=spare,
            admitted=own.admitted,
            leaving=own.leaving,
            moving=own.moving,
            epoch=record.epoch,
            until=self.wall() + self.lease_seconds,
            serial=place.serial + 1,
        )

    def _failed(self, problem: str) -> None:
        self._asks_again_at = self.clock() + self.interval
        if not self.is_down:
            self.is_down = True
            self._metrics.add(SHARED_STATE_DOWN.row(), 1)
            _log.error("shared_state.quotas_down", place=self._table.place, reason=problem)

    def _unserved(self, place: SharedPlace, problem: str) -> None:
        suppressed = self._throttle.allow(place.key, self.clock())
        if suppressed is not None:
            _log.warning(
                "shared_state.quota_throttled",
                prefix=place.prefix,
                storage=place.storage or None,
                place=self._table.place,
                reason=problem,
                suppressed=suppressed or None,
            )

    def _answered(self) -> None:
        if self.is_down:
            self.is_down = False
            self._metrics.add(SHARED_STATE_DOWN.row(), -1)
            _log.info("shared_state.quotas_up", place=self._table.place)
