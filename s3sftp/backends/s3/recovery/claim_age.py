"""How old claims are by a clock that may be set meanwhile. Pure: values in, seconds out."""

from __future__ import annotations

from s3sftp.backends.s3.recovery.upload_journal import UploadClaim


class ClaimAges:
    """Ages of claims, which note the time of day.

    A claim of the future was made before the clock was set back. How long ago nobody knows: it counts from
    when it was first seen, so that it does not wait until the clock is there again. A clock that was set
    forward makes claims older than they are: they are looked at earlier, which harms nothing, as those who
    made them are gone.
    """

    def __init__(self) -> None:
        self._seen: dict[UploadClaim, float] = {}
        """Claims of the future, and when they were first seen."""

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, claim: UploadClaim, time_of_day: float, monotonic: float) -> float:
        """Seconds, at least as far as that is known."""
        if claim.claimed_at <= time_of_day:
            return time_of_day - claim.claimed_at
        return monotonic - self._seen.setdefault(claim, monotonic)

    def forget(self, claim: UploadClaim) -> None:
        """It is settled."""
        self._seen.pop(claim, None)
