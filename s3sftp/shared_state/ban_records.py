"""Bans as items of the shared table. Pure.

An item says what became of one ban of a source: that it holds until a time, or that it was lifted. It stays
for a while after both, so that replicas learn of it late rather than never. Each write gives it a new
`version`; whoever writes has to name the version that it replaces, so that a replica that has missed a change
notices it. So what came later depends on clocks only for changes that missed each other.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field

from s3sftp.auth import Ban
from s3sftp.shared_state.table import Item

BANS = "bans"
"""The partition key of all bans."""
_KINDS = {False: "offences", True: "operator"}
_LIFTED_SECONDS = 86400
"""How long it is remembered that a ban was lifted: a replica that reaches the table again later than this
after the lift may write the ban again."""
CLOCKS_SECONDS = 600
"""Clocks of replicas may differ by so much."""


@dataclass(frozen=True, slots=True)
class BanRecord:
    """What the table says about a ban of a source. Times are in seconds since 1970."""

    source: str
    by_operator: bool
    """Whether it is the ban that the operator has added, beside which there may be one for offences."""
    until: float
    """When the ban ends; for one that was lifted, when the lift was."""
    changed: int
    is_lifted: bool = False
    reason: str = ""
    score: int = 0
    offences: int = 0
    number: int = 0
    seconds: float = 0.0
    replica: str = ""
    """The replica that has written it."""
    version: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def of(cls, ban: Ban, remaining: float, now: float, replica: str, *, by_operator: bool) -> BanRecord:
        """The record of a ban of this server, with so many seconds to go."""
        what = (str(ban.reason), ban.score, ban.offences, ban.number, ban.seconds)
        return cls(ban.source, by_operator, now + remaining, int(now), False, *what, replica)

    @classmethod
    def lifted(cls, source: str, now: float, replica: str, *, by_operator: bool) -> BanRecord:
        """The record of a lift."""
        return cls(source, by_operator, now, int(now), is_lifted=True, replica=replica)

    @property
    def key(self) -> str:
        """The sort key of its item."""
        return f"{_KINDS[self.by_operator]}#{self.source}"

    @property
    def is_first_ban(self) -> bool:
        """Whether it is the first ban of a source for its offences, which any address can cause."""
        return not self.is_lifted and not self.by_operator and self.number <= 1

    def attributes(self, memory_seconds: float) -> dict[str, str | float | bool]:
        """The item, without its keys. `memory_seconds`: how long after its end a ban makes the next one
        longer."""
        kept = _LIFTED_SECONDS if self.is_lifted else memory_seconds
        return {
            "until": round(self.until, 3),
            "changed": self.changed,
            "lifted": self.is_lifted,
            "reason": self.reason,
            "score": self.score,
            "offences": self.offences,
            "number": self.number,
            "seconds": self.seconds,
            "replica": self.replica,
            "version": self.version,
            "expires": math.ceil(self.until + kept),
        }

    def ban(self, now: float) -> Ban:
        """The ban, whose `until` is the number of seconds that remain."""
        what = (self.reason, self.score, self.offences, self.number, self.seconds)
        return Ban(self.source, *what, self.until - now, self.replica)


def record_of(item: Item) -> BanRecord | None:
    """The record in an item; None if the item is none."""
    kind, _, source = str(item.get("sk", "")).partition("#")
    if kind not in _KINDS.values() or not source:
        return None
    try:
        return BanRecord(
            source,
            kind == _KINDS[True],
            float(item["until"]),
            int(item["changed"]),
            item["lifted"] is True,
            str(item["reason"]),
            int(item["score"]),
            int(item["offences"]),
            int(item["number"]),
            float(item["seconds"]),
            str(item["replica"]),
            str(item["version"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def prevails(ours: BanRecord, theirs: BanRecord) -> bool:
    """Whether our change is to replace another one that we did not know of when we decided. A lift prevails
    over a ban, unless that was clearly decided after the lift; of two bans the longer one holds."""
    if ours.is_lifted is theirs.is_lifted:
        return ours.is_lifted or ours.until > theirs.until
    lift, ban = (ours, theirs) if ours.is_lifted else (theirs, ours)
    return (ban.changed > lift.changed + CLOCKS_SECONDS) is (ban is ours)
