"""Times in S3's XML, also those that are none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from s3sftp.backends.s3.http.response_xml import parse_list_page
from s3sftp.backends.s3.metadata.objects import file_info_from_listing

DAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def page(moment: str) -> bytes:
    return (
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
        f'<LastModified>{moment}</LastModified><ETag>"e"</ETag><Size>1</Size></Contents></ListBucketResult>'
    ).encode()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2026-01-02T03:04:05.678Z", DAY.timestamp()),
        ("2026-01-02T03:04:05Z", DAY.timestamp()),
        ("2026-01-02T03:04:05", DAY.timestamp()),
        ("2026-01-02T05:04:05+02:00", DAY.timestamp()),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC).timestamp()),
        ("", None),
        ("yesterday", None),
        ("99999-01-01T00:00:00Z", None),
    ],
)
def test_a_line_s_time_is_in_seconds_and_one_that_is_none_costs_no_page(
    said: str, seconds: float | None
) -> None:
    [line] = parse_list_page(page(said))["Contents"]
    assert file_info_from_listing(line).mtime == seconds
