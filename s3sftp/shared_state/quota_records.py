"""A counted place as an item of the shared table: what is stored there, and what each process has set aside.

    base + added - removed     what is stored, as far as the processes have told
    shares                     one for each process that changes something there at present:
        claim                      room set aside for what it is storing, and has stored and not told yet
        spare                      the part of it that was for nothing yet when it was written
        admitted, leaving, moving  what it was changing at that moment
        until                      when it counts as dead, unless it writes again
        epoch                      the latest request to tell everything that it has followed

At any time what is stored, and what is being stored, is at most what the item says with all claims. So
whoever adds to its claim only if the sum stays within a quota never makes the quota exceeded.

`base` is what a listing has found, less what had been added and plus what had been removed by then. So a
count undoes nothing of what was stored meanwhile, whenever its result is written. Pure.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from s3sftp.backends import Amount
from s3sftp.fs.quota.quotas import Counts, Quota, Tally
from s3sftp.shared_state.table import Item

QUOTAS = "quotas"
"""The partition key of all counted places."""
SPARE_PART = 8
"""A process sets aside at most one part in so many of the room that is left, beyond what it needs."""
_NONE = Amount()


@dataclass(frozen=True, slots=True)
class QuotaShare:
    """What one process has set aside at a place."""

    claim: Amount
    spare: Amount
    admitted: Amount
    leaving: Amount
    moving: int
    epoch: int
    until: float
    """Seconds since 1970."""
    serial: int
    """Which write of the process this is."""


@dataclass(frozen=True, slots=True)
class QuotaRecord:
    """All that the table says about a place."""

    version: str = ""
    """Of the item that it was read from; empty if there was none."""
    base: Amount | None = None
    counted_at: float = 0.0
    """When somebody counted, in seconds since 1970."""
    added: Amount = _NONE
    removed: Amount = _NONE
    moves: int = 0
    epoch: int = 0
    """Raised by whoever needs everybody to tell what is not in the table yet."""
    counter: str = ""
    """The process that counts at present. Empty again if somebody tells what its count may have found."""
    counter_until: float = 0.0
    """When it counts as dead, in seconds since 1970."""
    shares: Mapping[str, QuotaShare] = field(default_factory=dict)
    vague: int = 0
    """As `Tally.vague`."""

    @property
    def stored(self) -> Amount | None:
        """What is stored, as far as was told. None: nobody has counted."""
        return None if self.base is None else self.base + self.added - self.removed

    def others(self, process: str) -> Mapping[str, QuotaShare]:
        """The shares of the other processes, by their names."""
        return {name: share for name, share in self.shares.items() if name != process}

    def dead(self, now: float, grace_seconds: float) -> dict[str, QuotaShare]:
        """The shares that have ended so long ago that clocks which differ cannot explain it."""
        return {name: share for name, share in self.shares.items() if now > share.until + grace_seconds}

    def with_share(self, process: str, share: QuotaShare | None) -> QuotaRecord:
        """The same with another share of a process; None: with none."""
        shares = dict(self.others(process))
        if share is not None:
            shares[process] = share
        return replace(self, shares=shares)

    def without(self, gone: Mapping[str, QuotaShare]) -> QuotaRecord:
        """The same without these shares, as far as they still are the same."""
        left = {name: share for name, share in self.shares.items() if gone.get(name) != share}
        return replace(self, shares=left)

    def orphaned(self, lost: Mapping[str, QuotaShare]) -> QuotaRecord:
        """The same with claims of nobody in place of these shares: their processes see by that, when they
        are back, that others have counted without them. What they have stored meanwhile was claimed."""
        shares = {
            f"{name}-{share.serial}" if lost.get(name) == share else name: share
            for name, share in self.shares.items()
        }
        return replace(self, shares=shares)

    def told(self, more: Counts) -> QuotaRecord:
        """The same with what a process has added, removed and moved in addition."""
        return replace(
            self,
            added=self.added + more.added,
            removed=self.removed + more.removed,
            moves=self.moves + more.moves,
        )

    def counted(self, stored: Amount, at: Tally, counted_at: float, vague: int) -> QuotaRecord:
        """The same after a count which found that this was stored when the numbers were those of `at`."""
        base = stored - (at.counts.added - at.counts.removed)
        return replace(self, base=base, counted_at=counted_at, counter="", counter_until=0.0, vague=vague)


def tally_of(
    record: QuotaRecord,
    process: str,
    own: Counts,
    *,
    untold: Counts,
    silent: Collection[str] = (),
    spares: bool = True,
    is_doubtful: bool = False,
) -> Tally:
    """What a process knows of a place. `own`: its numbers; `untold`: those that are not in the record yet.

    `silent`: processes that change nothing any more. `spares`: whether what others have set aside for nothing
    yet counts as held, as it does for whoever needs room.
    """
    others = record.others(process)
    alive = [share for name, share in others.items() if name not in silent]
    held = own.held
    for share in others.values():
        held = held + (share.claim if spares else share.claim - share.spare)
    counts = Counts(
        held=held,
        admitted=sum((share.admitted for share in alive), own.admitted),
        leaving=sum((share.leaving for share in alive), own.leaving),
        moving=sum(share.moving for share in alive) + own.moving,
        added=record.added + untold.added,
        removed=record.removed + untold.removed,
        moves=record.moves + untold.moves,
    )
    stored = None if record.stored is None else record.stored + untold.added - untold.removed
    is_marked = record.base is not None and not record.counted_at
    return Tally(counts, stored, record.counted_at, is_doubtful or is_marked, record.vague)


def spare_within(quota: Quota, used: Amount, wanted: Amount) -> Amount:
    """How much of what is wanted a process may set aside beyond its need, if this much is used with it."""

    def of(limit: int | None, used: int, wanted: int) -> int:
        return wanted if limit is None else max(0, min(wanted, (limit - used) // SPARE_PART))

    return Amount(of(quota.bytes, used.bytes, wanted.bytes), of(quota.files, used.files, wanted.files))


def is_within(tighter: Quota, other: Quota) -> bool:
    """Whether what a first quota allows is also allowed by another one."""

    def of(one: int | None, other: int | None) -> bool:
        return other is None or (one is not None and one <= other)

    return of(tighter.bytes, other.bytes) and of(tighter.files, other.files)


# ── as an item ──────────────────────────────────────────────────────────────────────────────────────────


def attributes(record: QuotaRecord, expires: int) -> dict[str, str | float | bool]:
    """The item without its keys, with a new version."""
    state = {
        "base": None if record.base is None else _pair(record.base),
        "counted": record.counted_at,
        "added": _pair(record.added),
        "removed": _pair(record.removed),
        "moves": record.moves,
        "epoch": record.epoch,
        "counter": [record.counter, record.counter_until],
        "shares": {
            name: [
                *(_pair(each) for each in (share.claim, share.spare, share.admitted, share.leaving)),
                *(share.moving, share.epoch, round(share.until, 3), share.serial),
            ]
            for name, share in record.shares.items()
        },
        "vague": record.vague,
    }
    text = json.dumps(state, separators=(",", ":"))
    return {"state": text, "version": secrets.token_hex(8), "expires": expires}


def record_in(item: Item | None) -> QuotaRecord:
    """The record in an item. One that cannot be read is as if nobody had counted."""
    if item is None:
        return QuotaRecord()
    version = str(item.get("version", ""))
    try:
        state = json.loads(item["state"])
        return QuotaRecord(
            version,
            None if state["base"] is None else _amount(state["base"]),
            float(state["counted"]),
            _amount(state["added"]),
            _amount(state["removed"]),
            int(state["moves"]),
            int(state["epoch"]),
            str(state["counter"][0]),
            float(state["counter"][1]),
            {str(name): _share(each) for name, each in state["shares"].items()},
            int(state.get("vague", 0)),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        return QuotaRecord(version)


def _pair(amount: Amount) -> list[int]:
    return [amount.bytes, amount.files]


def _amount(pair: Any) -> Amount:
    size, files = pair
    return Amount(int(size), int(files))


def _share(each: Any) -> QuotaShare:
    *amounts, moving, epoch, until, serial = each
    claim, spare, admitted, leaving = map(_amount, amounts)
    return QuotaShare(claim, spare, admitted, leaving, int(moving), int(epoch), float(until), int(serial))
