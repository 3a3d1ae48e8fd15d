"""Reads the hashes that the store keeps with an object, if they certainly cover the whole object.

A checksum of checksums (`COMPOSITE`, or `…-3`) does not. The ETag is not used as an MD5 either, although it
often is one: with SSE-KMS, in directory buckets and in many S3-compatible stores it is not, and no reply
shows that. A wrong hash is worse than one more request.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.checksums.fallback import uses_checksums
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import Fields, version_of
from s3sftp.errors import StorageError

_FIELDS: Final = {
    "crc32": ("ChecksumCRC32", 4),
    "sha1": ("ChecksumSHA1", 20),
    "sha256": ("ChecksumSHA256", 32),
}
"""The fields of a HEAD reply, and the lengths of the hashes in bytes."""


async def stored_digest(client: S3Client, key: str, info: FileInfo, algorithm: str) -> bytes | None:
    """Return the hash of the whole object at the version of `info`; None if the store does not report one."""
    if algorithm not in _FIELDS or not info.version or not uses_checksums(client):
        return None
    matched: Fields = {"IfMatch": info.version} if client.features.has(Feature.MATCHED_READS) else {}
    try:
        answer = await client.call("HeadObject", Key=key, ChecksumMode="ENABLED", **matched)
    except StorageError:
        return None  # reading the file will report what is wrong
    if (version_of(answer), answer.get("ContentLength")) != (info.version, info.size):
        return None
    return digest_in(answer, algorithm)


def digest_in(answer: Answer, algorithm: str) -> bytes | None:
    """Return the hash in a HEAD reply; None if it is missing or does not cover the whole object. Pure."""
    name, length = _FIELDS[algorithm]
    text = answer.get(name)
    if not text or "-" in text:
        return None
    kind = answer.get("ChecksumType")
    is_of_one_part = kind is None and "-" not in (version_of(answer) or "-")
    if kind != "FULL_OBJECT" and not is_of_one_part:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return digest if len(digest) == length else None
