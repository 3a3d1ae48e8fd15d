"""What a store keeps of hashes is used where it is that of the whole object, and is right or nothing."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.checksums.stored import digest_in
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import begin, data_of, put, send
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3

BOTH = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
SMALL, LARGE = data_of(1000), data_of(2 * PART + 1000)
CRC = base64.b64encode(zlib.crc32(SMALL).to_bytes(4, "big")).decode()


def crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


async def stored(backend: S3Backend, path: str, algorithm: str = "crc32") -> bytes | None:
    info = await backend.file_info(place(path), ALICE)
    return await backend.stored_digest(place(path), info, algorithm, ALICE)


@BOTH
async def test_whatever_is_told_is_the_hash_of_the_content(backend: S3Backend, s3: S3) -> None:
    """After each way in which an object can come to be; most stores know it after some of them only."""
    await put(backend, "small", SMALL)
    await put(backend, "large", LARGE)
    await put(backend, "late", LARGE, mtime=1000)
    await backend.copy(place("large"), place("copied"), ALICE, version=None)
    await put(backend, "moved", SMALL)
    await backend.rename(place("moved"), place("there"), ALICE, overwrite=False)
    base = await put(backend, "kept", LARGE)
    upload = await begin(backend, "kept", base=base)
    await backend.keep_range(upload, 0, PART, ALICE)
    await send(backend, upload, SMALL, size=PART + len(SMALL))
    await s3.put("tenant/foreign", SMALL)
    contents = dict.fromkeys(("small", "there", "foreign"), SMALL) | {
        **dict.fromkeys(("large", "late", "copied"), LARGE),
        "kept": LARGE[:PART] + SMALL,
    }
    for path, content in contents.items():
        for algorithm, right in (
            ("crc32", crc(content)),
            ("sha1", hashlib.sha1(content).digest()),
            ("sha256", hashlib.sha256(content).digest()),
        ):
            assert await stored(backend, path, algorithm) in (None, right)
        for algorithm in ("md5", "sha512"):
            assert await stored(backend, path, algorithm) is None


async def test_what_the_upload_was_proved_by_is_told_without_reading(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend = await open_backend()
    await put(backend, "f", SMALL)
    assert await stored(backend, "f") == crc(SMALL)
    backend = await open_backend(checksum="sha256")
    await put(backend, "g", SMALL)
    assert await stored(backend, "g", "sha256") == hashlib.sha256(SMALL).digest()
    assert proxy.log.count("GetObject") == 0


async def test_the_hash_of_another_version_is_not_told(backend: S3Backend, s3: S3) -> None:
    info = await put(backend, "f", SMALL)
    await s3.put("tenant/f", bytes(1000), ChecksumAlgorithm="CRC32")
    assert await backend.stored_digest(place("f"), info, "crc32", ALICE) is None


async def test_a_store_that_fails_to_say_is_not_believed_to_have_one(
    backend: S3Backend, proxy: FaultProxy
) -> None:
    info = await put(backend, "f", SMALL)
    proxy.on("HeadObject", do=Answer(403, "AccessDenied"))
    assert await backend.stored_digest(place("f"), info, "crc32", ALICE) is None


@pytest.mark.parametrize(
    ("answer", "is_believed"),
    [
        ({"ChecksumType": "FULL_OBJECT", "ETag": '"abc-3"'}, True),
        ({"ETag": '"abc"'}, True),
        ({"ChecksumType": "COMPOSITE", "ETag": '"abc"'}, False),
        ({"ETag": '"abc-3"'}, False),
        ({}, False),
        ({"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": CRC + "-3"}, False),
        ({"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": ""}, False),
        ({"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": "?"}, False),
        ({"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": "AAAA"}, False),
    ],
)
def test_only_the_hash_of_a_whole_object_is_believed(answer: dict[str, Any], is_believed: bool) -> None:
    found = digest_in({"ChecksumCRC32": CRC, **answer}, "crc32")
    assert found == (crc(SMALL) if is_believed else None)
