"""Copies a part of a multipart upload from another object by UploadPartCopy, and verifies its checksum."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Final

from s3sftp.backends.s3.checksums.digest import Algorithm, ChecksumScope, crc_of_text, crc_text
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import classify, has_status, is_condition_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.http.response_body import response_body
from s3sftp.backends.s3.metadata.objects import Fields, condition_on
from s3sftp.backends.s3.options import MIB
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.journaled_upload import JournaledUpload
from s3sftp.backends.s3.write.part_sizes import CopySource, UploadedPart
from s3sftp.errors import StorageError

MOST_SENT_BYTES: Final = 64 * MIB
"""Maximum bytes of a part that is sent because it cannot be copied."""
_ALGORITHMS: Final[dict[str, Algorithm]] = {"ChecksumCRC32": "crc32", "ChecksumSHA256": "sha256"}


async def copy_part(
    client: S3Client, begun: JournaledUpload, number: int, source: CopySource
) -> UploadedPart:
    """Copy a part inside the store.

    Raises Changed: if the source has another version or is too short. Raises NotFound: if it does not exist.
    """
    matched = source.version is not None and client.features.has(Feature.MATCHED_COPIES)
    try:
        answer = await _copied(client, begun, number, source, matched=matched)
    except StorageError as error:
        # With checksums, those are the more likely reason, so the upload without them is tried first.
        doubtful = begun.scope is not ChecksumScope.NOTHING and not has_status(error, 501)
        if not matched or doubtful or not is_condition_refusal(error):
            raise
        other_way = _copied(client, begun, number, source, matched=False)
        answer = await client.features.do_without(Feature.MATCHED_COPIES, error, other_way)
    result = answer["CopyPartResult"]
    reported: dict[str, str] = {name: result[name] for name in _ALGORITHMS if name in result}
    crc = crc_of_text(reported.get("ChecksumCRC32"))
    return UploadedPart(number, source.size, result["ETag"], reported, crc, confirmed=True, source=source)


async def _copied(
    client: S3Client, begun: JournaledUpload, number: int, source: CopySource, *, matched: bool
) -> Answer:
    condition: Fields = {"CopySourceIfMatch": source.version} if matched else {}
    return await client.call(
        "UploadPartCopy",
        kind=RequestKind.JOIN,
        moved_bytes=source.size,
        Key=begun.key,
        UploadId=begun.upload_id,
        PartNumber=number,
        CopySource={"Bucket": source.bucket or client.options.bucket, "Key": source.key},
        CopySourceRange=f"bytes={source.start}-{source.stop - 1}",
        **condition,
    )


async def is_reported_checksum_right(client: S3Client, part: UploadedPart, source: CopySource) -> bool | None:
    """Whether the checksum that the store reports for a copied part is that of its bytes, which are read for
    this.

    Some stores report that of the whole source and combine it into the object's, which then cannot be read
    with verification. None if this cannot be shown: no checksum was reported, the part is the whole source,
    or its bytes are unavailable. A checksum of checksums is never that of a part.
    """
    if any("-" in reported for reported in part.checksum.values()):
        return False
    if source.whole:
        return None
    for name, reported in part.checksum.items():
        found = await checksum_of(client, source, name)
        if found != reported:
            return None if found is None else False
    return True if part.checksum else None


def field_of(algorithm: Algorithm) -> str:
    """The field of requests and replies that holds this checksum."""
    return next(name for name, each in _ALGORITHMS.items() if each == algorithm)


async def checksum_of(client: S3Client, source: CopySource, name: str) -> str | None:
    """Compute the checksum of some bytes of an object, which are read and discarded; None if they are
    unavailable.

    Raises Busy: if too many downloads are open.
    """
    if source.bucket not in ("", client.options.bucket):
        return None
    async with client.downloads.slot():
        return await _checksum_of(client, source, name)


async def _checksum_of(client: S3Client, source: CopySource, name: str) -> str | None:
    condition = condition_on(source.version) if client.features.has(Feature.MATCHED_READS) else {}
    asked = f"bytes={source.start}-{source.stop - 1}"
    patience = client.options.stall_timeout.total_seconds()
    crc, sha, size = 0, hashlib.sha256(), 0
    try:
        body = response_body(await client.call("GetObject", Key=source.key, Range=asked, **condition))
        try:
            while (piece := body.take()) is None or piece:
                if piece is None:
                    await body.wait(patience)
                    continue
                size += len(piece)
                if name == "ChecksumCRC32":
                    crc = zlib.crc32(piece, crc)
                else:
                    sha.update(piece)
        finally:
            body.close()
    except StorageError:
        return None
    except Exception as failure:
        if classify("GetObject", failure) is None:
            raise
        return None
    if size != source.size:
        return None
    return crc_text(crc) if name == "ChecksumCRC32" else base64.b64encode(sha.digest()).decode("ascii")
