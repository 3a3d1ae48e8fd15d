"""Quotas as values, and the numbers of a place that has one. Pure.

    stored       what is stored, as far as this server knows; unknown until somebody has counted by listing
    held         what uploads that are under way have sent: it counts as if it were stored
    admitted     what those changes will add that are being made at this moment (part of what is held)
    leaving      what those changes will take away that are being made at this moment

A change that is made while the place is being listed may be in the listing or not. So a listing leaves a
range in which the truth is, and corrects `stored` only if that is outside (`reconciled`).
"""

from __future__ import annotations

from dataclasses import dataclass

from s3sftp.backends import Amount, Place
from s3sftp.errors import NoSpace

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Quota:
    """How much may be stored below a place. None: any number."""

    bytes: int | None = None
    files: int | None = None

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return self.bytes is not None or self.files is not None

    def exceeded_by(self, more: Amount, used: Amount) -> str | None:
        """Which limit is exceeded if `more`, already part of `used`, is stored: `bytes` or `files`; None if
        neither is. What does not grow is never refused."""
        if self.bytes is not None and more.bytes > 0 and used.bytes > self.bytes:
            return "bytes"
        if self.files is not None and more.files > 0 and used.files > self.files:
            return "files"
        return None

    def full(self, used: Amount) -> str | None:
        """Which limit leaves no room for another file: `bytes` or `files`; None if neither does."""
        return self.exceeded_by(Amount(1, 1), used + Amount(1, 1))

    def refusal(self, limit: str) -> NoSpace:
        """The error for what exceeds the limit. It does not say how much is used, which may be more than the
        client may know."""
        most = getattr(self, limit)
        text = size_text(most) if limit == "bytes" else f"{most} files"
        return NoSpace(f"quota exceeded: at most {text} may be stored here", rule=f"quota.{limit}: {most}")


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class PlacedQuota:
    """A quota, and the directory for which it holds, with all that is below."""

    place: Place
    quota: Quota


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of a place, or what is added to them."""

    held: Amount = Amount()  # noqa: RUF009  frozen
    admitted: Amount = Amount()  # noqa: RUF009  frozen
    leaving: Amount = Amount()  # noqa: RUF009  frozen
    moving: int = 0
    """Directories that are being renamed inside the place: a listing meanwhile may see files twice."""
    added: Amount = Amount()  # noqa: RUF009  frozen
    """All that changes have ever added. Never decreases."""
    removed: Amount = Amount()  # noqa: RUF009  frozen
    """All that changes have ever taken away. Never decreases."""
    moves: int = 0
    """All renames of directories inside the place. Never decreases."""

    def __add__(self, more: Counts) -> Counts:
        return Counts(
            self.held + more.held,
            self.admitted + more.admitted,
            self.leaving + more.leaving,
            self.moving + more.moving,
            self.added + more.added,
            self.removed + more.removed,
            self.moves + more.moves,
        )


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Tally:
    """All that is known of a place at one moment."""

    counts: Counts
    stored: Amount | None
    """None: nobody has counted yet."""
    counted_at: float
    """When somebody counted, in seconds since the epoch."""
    is_doubtful: bool = False
    """Whether something may be in the numbers that is not there, so that a count is due."""
    vague: int = 0
    """How many counts in a row have left it open whether doubtful numbers are right."""

    @property
    def used(self) -> Amount:
        """What counts against a quota."""
        return (self.stored or Amount()) + self.counts.held


@dataclass(frozen=True, slots=True)
class Taken:
    """What has come of an attempt to hold more."""

    tally: Tally
    """The numbers afterwards; if it was refused, as if it had been added."""
    limit: str | None = None
    """The limit that refuses it, `bytes` or `files`: nothing was added. None: it was."""


def reconciled(before: Tally, after: Tally, listed: Amount) -> Amount | None:
    """What is stored, from a listing and the numbers before and after it. None: the listing is of no use,
    because directories were renamed meanwhile."""
    then, now = before.counts, after.counts
    if then.moving or now.moves != then.moves:
        return None
    if after.stored is None:
        return listed
    least = listed - (now.removed - then.removed) - now.admitted
    most = listed + (now.added - then.added) + now.leaving
    return Amount(
        min(max(after.stored.bytes, least.bytes), most.bytes),
        min(max(after.stored.files, least.files), most.files),
    )


def is_exact(before: Tally, after: Tally) -> bool:
    """Whether nothing was changed while a listing was made: then it says what is stored, whatever the numbers
    were."""
    then, now = before.counts, after.counts
    same = (then.added, then.removed, Amount(), Amount())
    return (now.added, now.removed, now.admitted, now.leaving) == same


Fill = tuple[int | None, int | None]
"""A total, and what is used of it. None: unlimited or unknown."""


def tighter(one: Fill, quota: Fill) -> Fill:
    """The quota, filled up to what the other leaves if that is less; the one that has a total, if only one
    does."""
    if quota[0] is None or quota[1] is None:
        return one
    if one[0] is None:
        return quota
    free = min(one[0] - (one[1] or 0), quota[0] - quota[1])
    total = min(one[0], quota[0])
    return total, total - free


def size_text(count: int) -> str:
    """A number of bytes for people: `1.5 GiB`."""
    number, unit = float(count), 0
    while number >= 1024 and unit + 1 < len(_UNITS):
        number, unit = number / 1024, unit + 1
    return f"{number:.4g} {_UNITS[unit]}"
