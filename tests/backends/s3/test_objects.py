"""Times and fields, in S3's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.bodies import MemoryBody
from s3sftp.backends.s3.objects import version_of


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
