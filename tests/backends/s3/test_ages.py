"""How old a claim is, by clocks that may be set meanwhile."""

from __future__ import annotations

from s3sftp.backends.s3.recovery.liveness import ClaimAges
from s3sftp.backends.s3.recovery.upload_journal import UploadClaim


def claimed_at(moment: float) -> UploadClaim:
    return UploadClaim("", "b", "k", moment)


def test_a_claim_is_as_old_as_the_time_of_day_says() -> None:
    ages = ClaimAges()
    assert [ages.of(claimed_at(100), time_of_day, monotonic=7) for time_of_day in (100, 130)] == [0, 30]
    assert len(ages) == 0


def test_a_claim_of_the_future_counts_from_when_it_was_first_seen_until_it_is_settled() -> None:
    ages, claim = ClaimAges(), claimed_at(100)
    assert [ages.of(claim, 99.5, monotonic) for monotonic in (7, 9, 20)] == [0, 2, 13]
    assert len(ages) == 1
    ages.forget(claim)
    ages.forget(claim)
    assert len(ages) == 0
    assert ages.of(claim, 99.5, monotonic=25) == 0
