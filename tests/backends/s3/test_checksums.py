"""The CRC of a whole is that of its parts joined."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.checksums.digest import crc32_combine, crc_of_parts, crc_of_text, crc_text, digest


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_crc_of_two_joined_comes_from_their_crcs(one: bytes, other: bytes) -> None:
    assert crc32_combine(zlib.crc32(one), zlib.crc32(other), len(other)) == zlib.crc32(one + other)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_the_crc_of_a_file_comes_from_those_of_its_parts(parts: list[bytes]) -> None:
    assert crc_of_parts((zlib.crc32(part), len(part)) for part in parts) == zlib.crc32(b"".join(parts))


def test_parts_of_gigabytes_are_combined_too() -> None:
    size = 5 << 30
    zeros = 0
    for _ in range(5):
        zeros = crc32_combine(zeros, zlib.crc32(bytes(1 << 20)), 1 << 20)
    joined = crc32_combine(crc32_combine(7, 9, size), 11, size)
    assert joined == crc32_combine(7, crc32_combine(9, 11, size), 2 * size)
    assert zeros == zlib.crc32(bytes(5 << 20))


@given(st.integers(0, 2**32 - 1))
def test_a_crc_is_written_as_s3_reads_it(crc: int) -> None:
    assert crc_of_text(crc_text(crc)) == crc


def test_a_checksum_of_checksums_is_no_crc() -> None:
    assert crc_of_text("AAAAAA==-3") is None
    assert crc_of_text(None) is None


@pytest.mark.parametrize("size", [0, 5, 1 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_each_algorithm_names_its_field(size: int, kind: type) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    given_as = kind(data)
    assert (await digest(given_as, "crc32")).fields == {"ChecksumCRC32": crc_text(zlib.crc32(data))}
    assert (await digest(given_as, "crc32")).crc == zlib.crc32(data)
    sha = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert (await digest(given_as, "sha256")).fields == {"ChecksumSHA256": sha}
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    assert (await digest(given_as, "md5")).fields == {"ContentMD5": md5}
    assert (await digest(given_as, "none")).fields == {}
