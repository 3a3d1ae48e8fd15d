"""Times and fields, in S3's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.bodies import MemoryBody
from s3sftp.backends.s3.objects import mtime_of, mtime_text, version_of


@given(st.floats(0, 2**33))
def test_a_time_comes_back_to_the_nanosecond(mtime: float) -> None:
    assert mtime_of({"mtime": mtime_text(mtime)}) == pytest.approx(mtime, abs=1e-9)


@pytest.mark.parametrize(
    ("mtime", "text"), [(0, "0"), (100, "100"), (1.5, "1.5"), (1e9, "1000000000"), (-1.0, "-1")]
)
def test_a_time_is_written_as_rclone_does(mtime: float, text: str) -> None:
    assert mtime_text(mtime) == text


@pytest.mark.parametrize("text", ["", "yesterday", "nan", "inf", "1e999"])
def test_a_time_that_makes_no_sense_is_none(text: str) -> None:
    assert mtime_of({"mtime": text}) is None


@pytest.mark.parametrize(
    ("etag", "version"), [('"a"', '"a"'), ("a", '"a"'), (None, None), ('W/"a"', 'W/"a"')]
)
def test_a_version_has_its_quotes(etag: str | None, version: str | None) -> None:
    assert version_of({"ETag": etag}) == version


@given(st.binary(max_size=600), st.lists(st.integers(-1, 100), max_size=8))
def test_a_body_reads_as_a_file(data: bytes, sizes: list[int]) -> None:
    body = MemoryBody(bytearray(data))
    read = b"".join(bytes(body.read(size)) for size in sizes) + bytes(body.read())
    assert read == data
    assert body.seek(0, 2) == body.tell() == len(body) == len(data)
    assert body.seek(0) == 0
    assert bytes(body.read()) == data == body.getvalue()
