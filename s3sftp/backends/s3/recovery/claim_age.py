"""Determines the age of claims although the clock may be set meanwhile. Pure."""

from __future__ import annotations

from s3sftp.backends.s3.recovery.upload_journal import UploadClaim


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
