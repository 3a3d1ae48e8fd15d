"""Hashes of blocks: the same as hashlib makes of the same bytes, however these come."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.errors import InvalidRequest
from s3sftp.fs.hashing import ALGORITHMS, BlockDigests, HashRequest


def expected(algorithm: str, data: bytes) -> bytes:
    if algorithm == "crc32":
        return zlib.crc32(data).to_bytes(4, "big")
    return hashlib.new(algorithm, data).digest()


@given(
    st.sampled_from(sorted(ALGORITHMS)),
    st.binary(max_size=3000),
    st.sampled_from([0, 256, 300, 1000, 5000]),
    st.integers(1, 700),
)
def test_each_block_has_the_hash_of_its_bytes(algorithm: str, data: bytes, block: int, piece: int) -> None:
    digests = BlockDigests(HashRequest(algorithm, block_bytes=block))
    for at in range(0, len(data), piece):
        digests.update(data[at : at + piece])
    blocks = [data[at : at + block] for at in range(0, len(data), block)] if block else [data]
    assert digests.result() == b"".join(expected(algorithm, each) for each in blocks)


def test_the_crc_is_written_with_its_highest_byte_first() -> None:
    digests = BlockDigests(HashRequest("crc32"))
    digests.update(b"123456789")
    assert digests.result().hex() == "cbf43926"  # the check value that the catalogues of CRCs give


def test_a_range_ends_with_the_file_and_does_not_begin_behind_it() -> None:
    assert HashRequest("md5", 10).stop_in(100) == 100
    assert HashRequest("md5", 10, 20).stop_in(100) == 30
    assert HashRequest("md5", 10, 200).stop_in(100) == 100
    assert HashRequest("md5", 100).stop_in(100) == 100
    with pytest.raises(InvalidRequest, match="the file ends at 100, before the offset 101"):
        HashRequest("md5", 101).stop_in(100)


def test_no_more_hashes_than_an_answer_has_room_for() -> None:
    HashRequest("md5", block_bytes=256).check_room(256 * 64, 1024)
    with pytest.raises(InvalidRequest, match="room for 64 hashes"):
        HashRequest("md5", block_bytes=256).check_room(256 * 64 + 1, 1024)
    with pytest.raises(InvalidRequest, match="at least 256"):
        HashRequest("md5", block_bytes=255).check_room(1, 1024)
