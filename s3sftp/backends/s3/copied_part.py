"""UploadPartCopy: a part of a multipart upload that the store copies from another object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from s3sftp.backends.s3.begun import BegunUpload
from s3sftp.backends.s3.checksums import Algorithm, Scope, crc_of_text, digest
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.failures import has_status, is_condition_refusal, trouble_of
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.joining import Part
from s3sftp.backends.s3.objects import Fields, condition_on
from s3sftp.backends.s3.options import MIB
from s3sftp.backends.s3.received import body_of, read_all
from s3sftp.backends.s3.retries import Effort
from s3sftp.errors import Changed, StorageError

MOST_READ_BYTES: Final = 64 * MIB
"""The largest copied part that is read to look at its checksum, or sent because it cannot be copied."""
_ALGORITHMS: Final[dict[str, Algorithm]] = {"ChecksumCRC32": "crc32", "ChecksumSHA256": "sha256"}


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes `[start, stop)` of one version of an object."""

    key: str
    version: str | None
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


async def copy_part(store: Store, begun: BegunUpload, number: int, source: Source) -> Part:
    """Have the store copy it. Raises Changed, NotFound."""
    matched = source.version is not None and store.features.has(Feature.MATCHED_COPIES)
    try:
        answer = await _copied(store, begun, number, source, matched=matched)
    except StorageError as error:
        if has_status(error, 412, 416):
            raise Changed(detail=error.detail) from error
        # where there are checksums, those are in the way more often: they are tried to go without first
        doubtful = begun.scope is not Scope.NOTHING and not has_status(error, 501)
        if not matched or doubtful or not is_condition_refusal(error):
            raise
        other_way = _copied(store, begun, number, source, matched=False)
        answer = await store.features.do_without(Feature.MATCHED_COPIES, error, other_way)
    result = answer["CopyPartResult"]
    told: dict[str, str] = {name: result[name] for name in _ALGORITHMS if name in result}
    crc = crc_of_text(told.get("ChecksumCRC32"))
    return Part(number, source.size, result["ETag"], told, crc, confirmed=True)


async def _copied(store: Store, begun: BegunUpload, number: int, source: Source, *, matched: bool) -> Answer:
    condition: Fields = {"CopySourceIfMatch": source.version} if matched else {}
    return await store.call(
        "UploadPartCopy",
        effort=Effort.JOIN,
        moved_bytes=source.size,
        Key=begun.key,
        UploadId=begun.upload_id,
        PartNumber=number,
        CopySource={"Bucket": store.options.bucket, "Key": source.key},
        CopySourceRange=f"bytes={source.start}-{source.stop - 1}",
        **condition,
    )


async def is_told_right(store: Store, part: Part, source: Source) -> bool | None:
    """Whether the checksum that the store tells of a copied part is that of its bytes, which are read for it;
    None: not known. Some tell that of the whole source, and join it: whoever looks at it then cannot read the
    object."""
    if not part.checksum:
        return True
    data = await _read(store, source) if source.size <= MOST_READ_BYTES else None
    if data is None:
        return None
    proofs = [(await digest(data, _ALGORITHMS[name])).fields[name] for name in part.checksum]
    return proofs == list(part.checksum.values())


async def _read(store: Store, source: Source) -> bytes | None:
    """The bytes, if they can be had."""
    condition = condition_on(source.version) if store.features.has(Feature.MATCHED_READS) else {}
    asked = f"bytes={source.start}-{source.stop - 1}"
    patience = store.options.stall_timeout.total_seconds()
    try:
        answer = await store.call("GetObject", Key=source.key, Range=asked, **condition)
        data = await read_all(body_of(answer), source.size, patience)
    except StorageError:
        return None
    except Exception as failure:
        if trouble_of("GetObject", failure) is None:
            raise
        return None
    return data if len(data) == source.size else None
