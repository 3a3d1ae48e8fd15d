"""Times and fields, in S3's words."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.metadata.objects import earliest_server_time, version_of


@pytest.mark.parametrize(
    ("etag", "version"), [('"a"', '"a"'), ("a", '"a"'), (None, None), ('W/"a"', 'W/"a"')]
)
def test_a_version_has_its_quotes(etag: str | None, version: str | None) -> None:
    assert version_of({"ETag": etag}) == version


def test_a_store_that_does_not_tell_the_date_has_answered_ten_minutes_ago() -> None:
    """Clocks differ: what is certain must not depend on ours."""
    assert earliest_server_time({}) == pytest.approx(time.time() - 600, abs=60)
    dated = {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}}}
    assert earliest_server_time(dated) == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@given(st.binary(max_size=600), st.lists(st.integers(-1, 100), max_size=8))
def test_a_body_reads_as_a_file(data: bytes, sizes: list[int]) -> None:
    body = RequestBody(bytearray(data))
    read = b"".join(bytes(body.read(size)) for size in sizes) + bytes(body.read())
    assert read == data
    assert body.seek(0, 2) == body.tell() == len(body) == len(data)
    assert body.seek(0) == 0
    assert bytes(body.read()) == data == body.getvalue()
