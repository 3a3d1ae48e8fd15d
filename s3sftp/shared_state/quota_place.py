"""A counted place as one process knows it: what the table said, and what the table does not know yet. Pure.

A write whose answer was lost may have been done. Until it is known whether it was, the process counts with
both: it uses only what it has set aside in either case. Each write of a share has a number
(`QuotaShare.serial`), so a later read tells which of them was done last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from s3sftp.backends import Amount
from s3sftp.fs.quota.quotas import NO_QUOTA, NOTHING, Counts, Quota
from s3sftp.shared_state.quota_records import QuotaRecord, QuotaShare

_NONE = Amount()


@dataclass(slots=True)
class Attempt:
    """A write of this process, before it is known whether it was done."""

    replaces: str
    """The version of the item that it replaces."""
    told: Counts
    share: QuotaShare | None
    ends: float
    """When the share ends, by the monotonic clock."""
    was_done: bool = False


@dataclass(slots=True)
class SharedPlace:
    """What one process knows of a place. Times are by the monotonic clock, unless another is named."""

    key: str
    """In the table."""
    prefix: str = ""
    """For logs."""
    storage: str = ""
    """Likewise; empty for the storage without a name."""
    own: Counts = NOTHING
    """What this process does there, and all that it has ever done."""
    told: Counts = NOTHING
    """What the table knows of that: `added`, `removed` and `moves`."""
    record: QuotaRecord = field(default_factory=QuotaRecord)
    """What the table has said last, with what was counted while it did not answer."""
    is_known: bool = False
    """Whether the table has ever been read."""
    share: QuotaShare | None = None
    ends: float = 0.0
    """When the share ends."""
    proven: Quota = NO_QUOTA
    """The quota within which everything was when the claim was made."""
    serial: int = 0
    attempts: dict[int, Attempt] = field(default_factory=dict)
    is_astray: bool = False
    """Whether a count may have found what this process is yet to tell."""
    doubtful_at: float = 0.0
    """When such was told, in seconds since 1970."""
    taken_at: float = 0.0
    told_at: float = 0.0
    tight_until: float = 0.0
    """Until then nothing is set aside without need, because somebody waits for room, or counts."""
    growth: Amount = _NONE
    """What was taken since the last turn that wrote."""
    growths: int = 0
    """How often that was."""
    counts: bool = False
    """Whether this process counts at present."""
    dead: Mapping[str, QuotaShare] = field(default_factory=dict)
    """The shares of the processes that were dead when its count began."""
    unheard: Mapping[str, QuotaShare] = field(default_factory=dict)
    """The shares of the dead who had not told by the end of its listing what they had done: those, and others
    that have died since."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the table is asked about the place."""
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while others are asked to give back what they do not need."""
    settlings: int = 0
    """How often that has begun."""
    settled: int = 0
    """The latest of them that was done."""
    was_helpful: bool = False
    """Whether anybody was there who could."""

    @property
    def untold(self) -> Counts:
        """What the table does not know yet."""
        return _since(self.told, self.own)

    @property
    def silent(self) -> set[str]:
        """The processes that were dead when this one's count began, and have written nothing since."""
        return {name for name, share in self.dead.items() if self.record.shares.get(name) == share}

    @property
    def is_quiet(self) -> bool:
        """Whether this process changes nothing, holds nothing, and has told everything, also its doubts."""
        return self.has_no_part and self.untold == NOTHING and not self.is_astray

    @property
    def has_acted(self) -> bool:
        """Whether this process changes something, or has, that the table does not know of."""
        own = self.own
        return self.untold != NOTHING or bool(own.moving) or not own.admitted == own.leaving == _NONE

    @property
    def has_no_part(self) -> bool:
        """Whether this process changes nothing and holds nothing."""
        return replace(self.own, added=_NONE, removed=_NONE, moves=0) == NOTHING

    def covers(self, more: Amount, now: float) -> bool:
        """Whether this process has a share, and has set aside enough for more than it holds, whatever has
        become of its writes."""
        if now >= self.ends:
            return False
        states = [(self.told, self.share), *((each.told, each.share) for each in self.attempts.values())]
        for told, share in states:
            if share is None:
                return False
            untold = _since(told, self.own)
            need = self.own.held + more + untold.added - untold.removed
            if need.bytes > share.claim.bytes or need.files > share.claim.files:
                return False
        return True

    def took(self, more: Amount, now: float) -> None:
        """Hold more."""
        self.own = self.own + Counts(held=more)
        self.taken_at = now
        if more.above_zero != _NONE:
            self.growth, self.growths = self.growth + more.above_zero, self.growths + 1

    def attempt(self, share: QuotaShare | None, now: float, lease_seconds: float) -> Attempt:
        """Begin a write that tells everything."""
        self.serial += 1
        attempt = Attempt(self.record.version, self.own, share, now + lease_seconds if share else 0.0)
        self.attempts[self.serial] = attempt
        return attempt

    def wrote(self, attempt: Attempt, now: float, wall: float) -> None:
        """A write was done, and none of those before it will be."""
        attempt.was_done = True
        self.told, self.share, self.ends, self.told_at = attempt.told, attempt.share, attempt.ends, now
        self.attempts.clear()
        if self.is_astray:
            self.is_astray, self.doubtful_at = False, wall

    def read(self, record: QuotaRecord, process: str, now: float, wall: float, tight_seconds: float) -> None:
        """Take over what the table says, and find out what has become of writes."""
        share = record.shares.get(process)
        if share is not None:
            done = self.attempts.get(share.serial)
        else:  # nobody else removes a share before it ends
            leaving = [each for each in self.attempts.values() if each.share is None and self.share]
            done = leaving[-1] if leaving and now < self.ends else None
        if done is not None:
            self.wrote(done, now, wall)
        self.attempts = {
            serial: each for serial, each in self.attempts.items() if each.replaces == record.version
        }
        if share is None and self.share is not None:  # somebody has counted without this process
            self.share, self.is_astray = None, True
        if self.share is None and self.has_acted:  # it went on, and had given its share back
            self.is_astray = True
        if self.is_known and record.epoch > self.record.epoch:
            self.tight_until = now + tight_seconds
        if self.is_astray and record.counted_at != self.record.counted_at:
            # the count may have found what was removed: subtracted twice, it would be room that is not there
            self.told = replace(self.told, removed=self.own.removed)
        self.record, self.is_known = record, True


def _since(then: Counts, now: Counts) -> Counts:
    return Counts(
        added=now.added - then.added, removed=now.removed - then.removed, moves=now.moves - then.moves
    )
