"""CopyObject and its long form: objects copied inside the bucket, with metadata and tags.

Up to 5 GiB is one request. Above, a multipart upload whose parts the store copies, several at once; what
CopyObject would have taken along is then read and written again.
"""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.cache import Head
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.concurrency import for_each
from s3sftp.backends.s3.failures import has_code, has_status
from s3sftp.backends.s3.multipart import Multipart
from s3sftp.backends.s3.objects import Fields, carried, placement, version_of, write_id_of
from s3sftp.backends.s3.options import MIB, UPLOAD_METADATA
from s3sftp.backends.s3.ownership import Journal
from s3sftp.backends.s3.parts import Source, copy_piece_bytes, copy_ranges
from s3sftp.backends.s3.publishing import Published, publish
from s3sftp.backends.s3.retries import Effort
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError

SWIFT_PART_BYTES = 256 * MIB
"""Parts of this size, several at once, are done sooner than few of 5 GiB."""


class Copying:
    """Copies objects."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._may_refuse = True
        """Whether the store takes If-None-Match on CopyObject (AWS since 2025)."""

    async def object(self, source: str, target: str, info: FileInfo, *, exclusive: bool = False) -> Published:
        """Copy the source as `info` saw it, replacing the target; with `exclusive` only if there is none.

        Raises NotFound, Changed, AlreadyExists.
        """
        if info.size > self._store.options.copy_part_bytes:
            return await self._in_parts(source, target, info, exclusive=exclusive)
        return await self._at_once(source, target, info, exclusive=exclusive)

    async def _at_once(self, source: str, target: str, info: FileInfo, *, exclusive: bool) -> Published:
        conditional = exclusive and self._may_refuse and self._store.understands("CopyObject", "IfNoneMatch")
        fields = self._source(source, info.version)
        if conditional:
            fields["IfNoneMatch"] = "*"
        try:
            return await publish(
                self._store,
                "CopyObject",
                target,
                lambda head: bool(info.version) and version_of(head) == info.version,
                effort=Effort.JOIN,
                moved_bytes=info.size,
                **placement(self._store.options),
                **fields,
            )
        except AlreadyExists:
            # 412 is the answer to either condition: which one was it?
            await self._require(target)
            raise
        except StorageError as error:
            if has_status(error, 412):
                raise Changed(detail=error.detail) from error
            if conditional and _is_unsupported(error):
                self._may_refuse = False
                return await self._at_once(source, target, info, exclusive=False)
            raise

    async def _in_parts(self, source: str, target: str, info: FileInfo, *, exclusive: bool) -> Published:
        head = await self._store.call("HeadObject", Key=source)
        version = info.version or version_of(head)
        if version_of(head) != version or head.get("ContentLength", info.size) != info.size:
            raise Changed
        write_id = write_id_of(head) or str(uuid.uuid4())
        upload = Multipart(
            self._store, self._journal, target, await self._same_fields(source, head, write_id), copies=True
        )
        wanted = min(self._store.options.copy_part_bytes, SWIFT_PART_BYTES)
        piece = copy_piece_bytes(info.size, wanted)
        ranges = copy_ranges(0, info.size, piece, self._store.options.min_part_bytes)
        numbered = [(upload.take(), start, stop) for start, stop in ranges]
        try:
            await for_each(
                numbered,
                lambda part: _copy_part(upload, part[0], Source(source, version, part[1], part[2])),
                self._store.options.parallel_copies,
            )
            return await upload.complete(
                lambda found: write_id_of(found) == write_id and found.get("ContentLength") == info.size,
                **({"IfNoneMatch": "*"} if exclusive else {}),
            )
        finally:
            await upload.abort()

    async def _same_fields(self, source: str, head: Answer, write_id: str) -> Fields:
        """What makes the copy's metadata, content type and tags those of the source."""
        fields = {**carried(head), **placement(self._store.options)}
        fields["Metadata"] = {**head.get("Metadata", {}), UPLOAD_METADATA: write_id}
        if head.get("TagCount"):
            answer = await self._store.call("GetObjectTagging", Key=source)
            fields["Tagging"] = urlencode({tag["Key"]: tag["Value"] for tag in answer["TagSet"]})
        return fields

    async def rewrite(self, key: str, head: Head, metadata: dict[str, str]) -> Published:
        """Copy an object onto itself with other metadata, all else kept. Raises Changed, NotFound."""
        fields = {**carried(head), "Metadata": metadata, "MetadataDirective": "REPLACE"}
        if self._store.options.acl is not None:
            fields["ACL"] = self._store.options.acl
        try:
            return await publish(
                self._store,
                "CopyObject",
                key,
                lambda found: found.get("Metadata") == metadata,
                effort=Effort.JOIN,
                moved_bytes=int(head.get("ContentLength", 0)),
                **self._source(key, version_of(head)),
                **fields,
            )
        except StorageError as error:
            if has_status(error, 412):
                raise Changed(detail=error.detail) from error
            raise

    def _source(self, key: str, version: str | None) -> Fields:
        fields: Fields = {"CopySource": {"Bucket": self._store.options.bucket, "Key": key}}
        if version is not None:
            fields["CopySourceIfMatch"] = version
        return fields

    async def _require(self, target: str) -> None:
        """Raise Changed when there is no target that could have been in the way."""
        try:
            await self._store.call("HeadObject", Key=target)
        except NotFound as error:
            raise Changed(detail="the source is another version by now") from error


async def _copy_part(upload: Multipart, number: int, source: Source) -> None:
    refused = await upload.copy(number, source)
    if refused is not None:
        raise refused


def _is_unsupported(error: StorageError) -> bool:
    return has_status(error, 501) or has_code(error, "NotImplemented", "InvalidArgument", "InvalidRequest")
