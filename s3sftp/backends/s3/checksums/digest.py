"""Computes the checksums of request bodies, and the CRC of a whole object from the CRCs of its parts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

from s3sftp.backends.contract import Buffer

Algorithm = Literal["crc32", "sha256", "md5", "none"]

IN_THREAD_BYTES = 1 << 20

_NAMES = {"ChecksumCRC32": "crc32", "ChecksumSHA256": "sha256", "ContentMD5": "md5"}
_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31


class ChecksumScope(Enum):
    """What the checksums of a multipart upload cover. It is decided when the upload is created."""

    WHOLE = "the object and each part"
    PARTS = "each part"
    NOTHING = "nothing: each request proves its bytes for itself"


class Digest:
    """The checksum of some bytes: `fields` go into the request, and `crc` is the CRC, if it is one."""

    __slots__ = ("crc", "fields")

    def __init__(self, fields: dict[str, Any], crc: int | None = None) -> None:
        self.fields = fields
        self.crc = crc


async def digest(data: Buffer, algorithm: Algorithm) -> Digest:
    """Compute a checksum, in a thread if it would block the event loop."""
    if len(data) >= IN_THREAD_BYTES and algorithm != "none":
        return await asyncio.to_thread(_digest, data, algorithm)
    return _digest(data, algorithm)


def _digest(data: Buffer, algorithm: Algorithm) -> Digest:
    match algorithm:
        case "crc32":
            crc = zlib.crc32(data)
            return Digest({"ChecksumCRC32": crc_text(crc)}, crc)
        case "sha256":
            return Digest({"ChecksumSHA256": _text(hashlib.sha256(data).digest())})
        case "md5":
            return Digest({"ContentMD5": _text(hashlib.md5(data, usedforsecurity=False).digest())})
        case "none":
            return Digest({})


def creation_fields(algorithm: Algorithm, scope: ChecksumScope) -> dict[str, str]:
    """Fields of CreateMultipartUpload that announce the checksums of its parts."""
    if scope is ChecksumScope.NOTHING:
        return {}
    whole = {"ChecksumType": "FULL_OBJECT"} if scope is ChecksumScope.WHOLE else {}
    return {"ChecksumAlgorithm": algorithm.upper(), **whole}


def checksum_in(fields: Mapping[str, Any]) -> str | None:
    """The checksum in the fields of a request, with its algorithm, such as `crc32:DUoRhQ==`; None if it has
    none."""
    for name, algorithm in _NAMES.items():
        if name in fields:
            return f"{algorithm}:{fields[name]}"
    return None


def crc_text(crc: int) -> str:
    """Format a CRC as S3 does: big-endian, base64."""
    return _text(crc.to_bytes(4, "big"))


def crc_of_text(text: str | None) -> int | None:
    """Parse a CRC from S3; None if there is none, or for a checksum of checksums (`…-3`)."""
    if not text or "-" in text:
        return None
    return int.from_bytes(base64.b64decode(text), "big")


def crc_of_parts(parts: Iterable[tuple[int, int]]) -> int:
    """The CRC-32 of a whole from `(crc, size)` of its parts in order; sizes in bytes."""
    whole = 0
    for crc, size in parts:
        whole = crc32_combine(whole, crc, size)
    return whole


def crc32_combine(first: int, second: int, second_size: int) -> int:
    """The CRC-32 of two byte strings joined, from their CRCs and the second's size in bytes."""
    return _multiply(_shift(second_size), first) ^ second


@lru_cache(maxsize=64)
def _shift(size: int) -> int:
    """x to the power of 8·size, modulo the polynomial (bits reflected: x^0 is the highest)."""
    result, power = _ONE, _ONE >> 8
    while size:
        if size & 1:
            result = _multiply(result, power)
        power = _multiply(power, power)
        size >>= 1
    return result


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials modulo the CRC's."""
    product = 0
    mask = _ONE
    while mask:
        if a & mask:
            product ^= b
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
        mask >>= 1
    return product


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
