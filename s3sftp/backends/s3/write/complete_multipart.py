"""Completes a multipart upload, with a checksum of the whole object where the store supports one.

A store that knows only checksums of parts refuses that of the whole object with the same error as wrong
bytes. The upload is completed without it only if wrong bytes are ruled out:

    the store confirmed      it said at creation that      its refusal reports    its refusal calls the
    the CRC of each part     it accepts a whole checksum   different bytes        checksum invalid or unknown

    yes                      no                            completed              completed
    yes                      yes                           an error               completed
    no                       no                            an error               completed
    no                       yes                           an error               an error
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from s3sftp.backends.s3.checksums.digest import ChecksumScope, checksum_in, crc_of_parts, crc_text
from s3sftp.backends.s3.checksums.fallback import is_checksum_mismatch
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_code, is_refusal, request_error_behind
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import Fields
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.completion import CompletedWrite, complete_write
from s3sftp.backends.s3.write.journaled_upload import JournaledUpload
from s3sftp.backends.s3.write.part_sizes import UploadedPart
from s3sftp.backends.s3.write.upload_part_copy import checksum_of, field_of
from s3sftp.errors import AlreadyExists, Changed, StorageError, StorageFailure
from s3sftp.runtime.concurrency import for_each

_MANY_PARTS: Final = 500
"""From this many parts on, combining their checksums would block the event loop."""
_INVALID: Final = ("InvalidDigest", "BadDigest", "XAmzContentChecksumMismatch")
_OF_ONE_SIZE: Final = re.compile(
    r"\b(same|equal|uniform)\b.{0,40}\b(length|size)|non-trailing", re.IGNORECASE
)


async def complete_parts(
    client: S3Client,
    begun: JournaledUpload,
    parts: Sequence[UploadedPart],
    ours: Callable[[Answer], bool],
    **conditions: str,
) -> CompletedWrite:
    """Complete the upload with its parts, which are in order. Raises like `complete_write`."""
    size = sum(part.size for part in parts)
    with_checksums = begun.scope is not ChecksumScope.NOTHING and client.features.has(Feature.CHECKSUMS)

    async def send(proof: Fields, parts: Sequence[UploadedPart] = parts) -> CompletedWrite:
        return await complete_write(
            client,
            "CompleteMultipartUpload",
            begun.key,
            ours,
            kind=RequestKind.JOIN,
            moved_bytes=size,
            UploadId=begun.upload_id,
            MultipartUpload={"Parts": [_line(part, with_checksums) for part in parts]},
            **proof,
            **conditions,
        )

    proof = await _proof(client, begun, parts, size) if with_checksums else {}
    try:
        return (await send(proof))._replace(checksum=checksum_in(proof))
    except StorageError as error:
        _check_part_sizes(client, error, parts)
        refused = error
    for lacking, others in _other_ways(client, begun, parts, proof, refused):
        reported = await others
        try:
            completed = await send({}, reported)
        except (AlreadyExists, Changed):
            raise  # the store has evaluated the condition: this is the result
        except StorageError as error:
            _check_part_sizes(client, error, parts)
            continue
        client.features.lacks(lacking, refused.detail)
        return completed
    raise refused


def _other_ways(
    client: S3Client,
    begun: JournaledUpload,
    parts: Sequence[UploadedPart],
    proof: Fields,
    refused: StorageError,
) -> Iterator[tuple[Feature, Awaitable[Sequence[UploadedPart]]]]:
    """Yield the fallbacks to try, each with the feature that the store lacks if it succeeds."""
    if proof and _is_unknown_to_it(refused, begun, parts):
        yield Feature.WHOLE_CHECKSUMS, _as_they_are(parts)
    unreported = begun.scope is not ChecksumScope.NOTHING and any(
        part.source and not part.checksum for part in parts
    )
    if unreported and (has_code(refused, "InvalidDigest", "InvalidPart") or is_refusal(refused)):
        yield Feature.COPIED_PART_CHECKSUMS, _read_through(client, parts)


async def _as_they_are(parts: Sequence[UploadedPart]) -> Sequence[UploadedPart]:
    return parts


async def _read_through(client: S3Client, parts: Sequence[UploadedPart]) -> Sequence[UploadedPart]:
    """Read copied parts to compute the checksums that the store requires but has not reported."""
    name = field_of(client.options.checksum)
    found = list(parts)

    async def read(index: int) -> None:
        source = found[index].source
        if source is not None and not found[index].checksum:
            text = await checksum_of(client, source, name)
            if text is not None:
                found[index] = replace(found[index], checksum={name: text})

    await for_each(range(len(found)), read, client.options.parallel_copies)
    return found


def _line(part: UploadedPart, with_checksum: bool) -> dict[str, Any]:
    checksum = part.checksum if with_checksum else {}
    return {"PartNumber": part.number, "ETag": part.etag, **checksum}


async def _proof(
    client: S3Client, begun: JournaledUpload, parts: Sequence[UploadedPart], size: int
) -> Fields:
    """The fields that prove the whole object.

    If the CRC of a copied part is unknown, only its size proves it.
    """
    if not client.features.has(Feature.WHOLE_CHECKSUMS):
        return {}
    fields: Fields = {"MpuObjectSize": size}
    if begun.scope is ChecksumScope.WHOLE:
        fields["ChecksumType"] = "FULL_OBJECT"
        crcs = [(part.crc, part.size) for part in parts if part.crc is not None]
        if len(crcs) == len(parts):
            many = len(parts) > _MANY_PARTS
            crc = await asyncio.to_thread(crc_of_parts, crcs) if many else crc_of_parts(crcs)
            fields["ChecksumCRC32"] = crc_text(crc)
    return fields


def _is_unknown_to_it(error: StorageError, begun: JournaledUpload, parts: Sequence[UploadedPart]) -> bool:
    """Whether the refusal means that the store does not support the checksum of a whole object."""
    if not (has_code(error, *_INVALID) or is_refusal(error)):
        return False
    confirmed = all(part.confirmed for part in parts)
    if is_checksum_mismatch(error):
        return confirmed and not begun.takes_whole
    return confirmed or not begun.takes_whole


def _check_part_sizes(client: S3Client, error: StorageError, parts: Sequence[UploadedPart]) -> None:
    """If the store requires parts of one size, record that for later uploads and raise StorageFailure."""
    unequal = any(part.size != parts[0].size for part in parts[:-1]) or parts[-1].size > parts[0].size
    if unequal and _OF_ONE_SIZE.search(str(request_error_behind(error))):
        client.features.lacks(Feature.UNEQUAL_PARTS, error.detail)
        raise StorageFailure(
            "storage takes only parts of one size: send the file again", detail=error.detail
        ) from error
