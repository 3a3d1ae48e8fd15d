"""Measures how long other instances have shown no sign of life, and how old their claims are. Pure.

The clocks of machines and of stores differ, and a clock may be set. So silence is measured by this machine's
monotonic clock: a sign of life is an object that was missing, or different, in the previous listing. A claim
has only the time of day at which it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

from s3sftp.backends.s3.recovery.upload_journal import UploadClaim

Mark: TypeAlias = tuple[str, str, str]
"""An object of an instance in a listing: its key, ETag and time."""


@dataclass(frozen=True, slots=True)
class _Seen:
    marks: Set[Mark]
    since: float


class Liveness:
    """Watches instances from one listing to the next."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, found: Mapping[str, Set[Mark]], asked: float, answered: float) -> dict[str, float]:
        """Return for how many seconds each listed instance has certainly shown no sign of life at the time of
        the request.

        A missing object is no sign, because another janitor may have removed it. `asked` and `answered` are
        monotonic times of the request's start and end, so that a pause of this process in between makes no
        instance look older.
        """
        for instance, marks in found.items():
            before = self._seen.get(instance)
            if before is None or not marks <= before.marks:
                self._seen[instance] = _Seen(marks, answered)
        self._seen = {instance: seen for instance, seen in self._seen.items() if instance in found}
        return {instance: max(0.0, asked - seen.since) for instance, seen in self._seen.items()}


class ClaimAges:
    """Ages of claims, which record the time of day.

    A claim from the future was made before the clock was set back. Its true age is unknown, so it counts from
    when it was first seen and need not wait until the clock catches up. A clock that was set forward makes
    claims look older. They are then handled earlier, which does no harm, because the instances that made them
    are gone.
    """

    def __init__(self) -> None:
        self._seen: dict[UploadClaim, float] = {}
        """Claims from the future, and when each was first seen."""

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, claim: UploadClaim, time_of_day: float, monotonic: float) -> float:
        """Return the age in seconds, or its known minimum."""
        if claim.claimed_at <= time_of_day:
            return time_of_day - claim.claimed_at
        return monotonic - self._seen.setdefault(claim, monotonic)

    def forget(self, claim: UploadClaim) -> None:
        """Forget a claim that is settled."""
        self._seen.pop(claim, None)
