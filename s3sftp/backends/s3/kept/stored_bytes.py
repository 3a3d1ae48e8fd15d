"""Finds out what the store has of a kept upload: its parts, and the tail beside its record."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.credentials.user_scope import in_scope
from s3sftp.backends.s3.errors import has_code, has_status
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.kept.records import (
    KeptRecord,
    contiguous,
    has_tail_after,
    name_of_tail,
    part_of_listing,
    proven_parts,
    total_of,
)
from s3sftp.backends.s3.small_objects import BucketObjects
from s3sftp.backends.s3.write.part_sizes import MAX_PART_BYTES, UploadedPart
from s3sftp.errors import NotFound, StorageError, StorageFailure, Unsupported
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")


@dataclass(frozen=True, slots=True)
class StoredStart:
    """The start of a file, as the store has it."""

    parts: list[UploadedPart]
    stored: int
    """Their bytes."""
    tail_bytes: int
    """The bytes of the tail that follow them; 0 if none do."""

    @property
    def size(self) -> int:
        return self.stored + self.tail_bytes

    def up_to(self, offset: int | None) -> StoredStart:
        """What is left of it for a client that goes on at an offset: everything, unless the offset is before
        the end of a part. Raises Unsupported: if it is within one."""
        if offset is None or offset >= self.stored:
            return self
        for count in range(len(self.parts)):
            if total_of(self.parts[:count]) == offset:
                return StoredStart(self.parts[:count], offset, 0)
        raise Unsupported(
            f"{self.size} bytes are stored since before the connection was lost: go on there, or truncate the"
            " file and send it again"
        )


class StoredBytes:
    """The bytes of kept uploads in a bucket."""

    def __init__(self, client: S3Client, objects: BucketObjects) -> None:
        self._client = client
        self._objects = objects

    async def start_of(self, record: KeptRecord) -> StoredStart | None:
        """What the store has of an upload. None if nothing can be continued: it is gone, or not what the
        record describes."""
        parts: list[UploadedPart] = []
        if record.upload_id is not None:
            listed = await self._parts_of(record.key, record.upload_id)
            if listed is None:
                return None
            proven = proven_parts(record, contiguous(listed, self._client.options.min_part_bytes))
            if proven is None:
                _log.warning("kept.parts_differ", key=record.key, upload_id=record.upload_id)
                return None
            parts = proven
            if not self._client.features.has(Feature.UNEQUAL_PARTS) and any(
                part.size != self._client.options.part_bytes for part in parts
            ):
                return None
        stored = total_of(parts)
        start = StoredStart(parts, stored, record.tail_bytes if has_tail_after(record, stored) else 0)
        return start if start.size else None

    async def has_file(self, key: str) -> bool:
        """Whether a file has the name, so that STAT would never show what is kept."""
        with in_scope(None):
            try:
                await self._client.call("HeadObject", Key=key)
            except NotFound:
                return False
        return True

    async def with_tail(self, name: str, record: KeptRecord, at: int, tail: bytes) -> KeptRecord:
        """Store the tail; return the record that describes it."""
        if not tail:
            return replace(record, tail=None, tail_at=at, tail_bytes=0, tail_sha256="")
        stored_as = name_of_tail(name, uuid.uuid4().hex)
        await self._objects.put(stored_as, tail)
        digest = (await asyncio.to_thread(hashlib.sha256, tail)).hexdigest()
        return replace(record, tail=stored_as, tail_at=at, tail_bytes=len(tail), tail_sha256=digest)

    async def tail_of(self, record: KeptRecord) -> bytes:
        """Read the tail. Raises StorageFailure: if it is not what was stored."""
        found = await self._objects.read_version(record.tail or "", MAX_PART_BYTES)
        tail = b"" if found is None else found[0]
        digest = (await asyncio.to_thread(hashlib.sha256, tail)).hexdigest()
        if digest != record.tail_sha256:
            raise StorageFailure(
                "the end of the unfinished upload is damaged: send the file again from its start",
                detail=f"tail {record.tail!r} of {record.key!r}",
            )
        return tail

    async def delete_tail(self, name: str | None) -> None:
        """Delete a tail. One that stays is removed with the next sweep."""
        if name is not None:
            with suppress(StorageError):
                await self._objects.delete(name)

    async def _parts_of(self, key: str, upload_id: str) -> list[UploadedPart] | None:
        """List all parts of an upload; None if it is gone."""
        found: list[UploadedPart] = []
        after: dict[str, Any] = {}
        with in_scope(None):
            while True:
                try:
                    answer = await self._client.call("ListParts", Key=key, UploadId=upload_id, **after)
                except StorageError as error:
                    if has_code(error, "NoSuchUpload") or has_status(error, 404):
                        return None
                    raise
                found += [part_of_listing(line) for line in answer.get("Parts", ())]
                following = answer.get("NextPartNumberMarker")
                if not answer.get("IsTruncated"):
                    return found
                if following is None or following == after.get("PartNumberMarker"):
                    raise StorageFailure("storage repeats its listing", detail=f"of parts of {key!r}")
                after = {"PartNumberMarker": int(following)}
