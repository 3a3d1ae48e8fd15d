"""How long a request may take, all attempts together and each of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.retry_policy import RequestKind, attempt_limit, time_limit

OPTIONS = S3Options(
    bucket="b", metadata_timeout=timedelta(seconds=20), data_timeout=timedelta(minutes=2, seconds=1)
)
MIB = 1 << 20


@pytest.mark.parametrize("moved_bytes", [0, 1 << 40])
def test_a_request_that_moves_no_data_has_the_time_for_metadata(moved_bytes: int) -> None:
    assert time_limit(OPTIONS, RequestKind.METADATA, moved_bytes) == 20


@pytest.mark.parametrize(("moved_bytes", "seconds"), [(0, 121), (MIB // 2, 121.5), (5 << 30, 121 + 5120)])
def test_a_request_that_moves_data_has_a_second_more_for_each_mebibyte(
    moved_bytes: int, seconds: float
) -> None:
    assert time_limit(OPTIONS, RequestKind.DATA, moved_bytes) == seconds


@pytest.mark.parametrize(
    ("moved_bytes", "seconds"),
    [(0, 121), (32 * MIB, 121.5), (64 * 599 * MIB, 720), (64 * 601 * MIB, 721), (5 << 40, 721)],
)
def test_what_the_store_copies_by_itself_has_a_second_more_for_each_64_mebibytes_up_to_ten_minutes(
    moved_bytes: int, seconds: float
) -> None:
    assert time_limit(OPTIONS, RequestKind.JOIN, moved_bytes) == seconds


@pytest.mark.parametrize("effort", RequestKind)
def test_nothing_is_moved_unless_it_is_said(effort: RequestKind) -> None:
    assert time_limit(OPTIONS, effort) == time_limit(OPTIONS, effort, 0)


def test_an_attempt_has_half_of_what_is_left_and_the_last_one_all_of_it() -> None:
    assert [attempt_limit(20, attempt, 3) for attempt in (1, 2, 3, 4)] == [10, 10, 20, 20]
    assert attempt_limit(20, 1, 1) == 20
