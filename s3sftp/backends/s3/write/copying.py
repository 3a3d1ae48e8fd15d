"""Copies objects inside the store, with metadata and tags, by CopyObject or in parts.

An object up to 5 GiB (`s3.copy_part_bytes`) is one CopyObject. A larger one is a multipart upload whose parts
the store copies, several at once; the server reads and writes what CopyObject would have taken over.
"""

from __future__ import annotations

import uuid

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.checksums.fallback import send_with_checksum
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_status, is_condition_refusal, may_lack_feature
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.metadata.cache import Head
from s3sftp.backends.s3.metadata.equivalent_versions import formerly
from s3sftp.backends.s3.metadata.objects import Fields, carried_over, placement, version_of, write_id_of
from s3sftp.backends.s3.options import FORMERLY_METADATA, MIB, UPLOAD_METADATA
from s3sftp.backends.s3.recovery.upload_journal import UploadJournal
from s3sftp.backends.s3.requests.tagging import tags_of
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.completion import CompletedWrite, complete_write, require_conditions
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.multipart import MultipartUpload
from s3sftp.backends.s3.write.part_sizes import CopySource, copy_piece_bytes, copy_ranges
from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.runtime.concurrency import for_each

SWIFT_PART_BYTES = 256 * MIB
"""Many parts of this size, several at once, are copied faster than a few of 5 GiB."""


class ObjectCopier:
    """Copies objects inside the bucket, or from another bucket that the same credentials can read."""

    def __init__(
        self,
        client: S3Client,
        journal: UploadJournal,
        conditions: ConditionalSupport,
        origin: S3Client | None = None,
    ) -> None:
        """`origin`: the client of the bucket that the sources are in. None: the same bucket."""
        self._client = client
        self._origin = origin or client
        self._journal = journal
        self._conditions = conditions

    async def object(
        self, source: str, target: str, info: FileInfo, *, exclusive: bool = False
    ) -> CompletedWrite:
        """Copy the version of the source in `info` to the target; with `exclusive` only if there is no
        target.

        Raises NotFound: if the source does not exist. Raises Changed: if it is another version. Raises
        AlreadyExists: if the target exists with `exclusive`.
        """
        if info.size > self._client.options.copy_part_bytes:
            return await self._in_parts(source, target, info, exclusive=exclusive)
        if not exclusive:
            return await self._replacing(source, target, info)
        await self._conditions.probe()
        if not self._supports_if_none_match():
            return await self._where_nothing_is(source, target, info)
        try:
            return await self._at_once(source, target, info, exclusive=True)
        except StorageError as error:
            features = self._client.features
            if not (
                may_lack_feature(features, Feature.CONDITIONAL_COPIES, error)
                or (info.version and may_lack_feature(features, Feature.MATCHED_COPIES, error))
            ):
                raise
            return await self._otherwise(source, target, info, error)

    def _supports_if_none_match(self) -> bool:
        """Whether the store accepts If-None-Match on CopyObject (AWS since 2025) and does not ignore it."""
        return self._conditions.are_relied_on(Feature.CONDITIONAL_COPIES) and self._client.has_parameter(
            "CopyObject", "IfNoneMatch"
        )

    async def _otherwise(
        self, source: str, target: str, info: FileInfo, refused: StorageError
    ) -> CompletedWrite:
        """Use the fallback after a refusal. Its outcome shows which condition the store refused."""
        features = self._client.features
        was_matched = features.has(Feature.MATCHED_COPIES)
        try:
            completed = await self._where_nothing_is(source, target, info)
        except StorageError as error:
            if is_condition_refusal(error):
                raise refused  # noqa: B904 # its cause is the store's reply
            raise
        is_shown = may_lack_feature(features, Feature.CONDITIONAL_COPIES, refused)
        if is_shown and features.has(Feature.MATCHED_COPIES) == was_matched:
            features.lacks(Feature.CONDITIONAL_COPIES, refused.detail)
        return completed

    async def _replacing(self, source: str, target: str, info: FileInfo) -> CompletedWrite:
        try:
            return await self._at_once(source, target, info)
        except StorageError as error:
            if (
                not info.version
                or not self._client.features.has(Feature.MATCHED_COPIES)
                or not may_lack_feature(self._client.features, Feature.MATCHED_COPIES, error)
            ):
                raise
            copied = self._at_once(source, target, info, matched=False)
            return await self._client.features.do_without(Feature.MATCHED_COPIES, error, copied)

    async def _where_nothing_is(self, source: str, target: str, info: FileInfo) -> CompletedWrite:
        """Copy to an unused key in a store whose CopyObject replaces an existing object.

        A conditional write of the same content does not replace it: an empty object is put, any other becomes
        the only part of an upload. If conditional writes are missing or refused, a HEAD immediately before
        the copy checks the target.
        """
        if self._client.features.has(Feature.CONDITIONAL_WRITES):
            try:
                if info.size:
                    return await self._in_parts(source, target, info, exclusive=True)
                return await self._put_empty(source, target, info)
            except StorageError as error:
                if not may_lack_feature(self._client.features, Feature.CONDITIONAL_WRITES, error):
                    raise
        await require_conditions(self._client, target, {"IfNoneMatch": "*"})
        return await self._replacing(source, target, info)

    async def _at_once(
        self, source: str, target: str, info: FileInfo, *, exclusive: bool = False, matched: bool = True
    ) -> CompletedWrite:
        matched = matched and bool(info.version) and self._client.features.has(Feature.MATCHED_COPIES)
        if info.version and not matched:
            await self._require_source(source, info.version)
        fields = self._source(source, info.version if matched else None)
        if exclusive:
            fields["IfNoneMatch"] = "*"
        try:
            completed = await complete_write(
                self._client,
                "CopyObject",
                target,
                lambda head: bool(info.version) and version_of(head) == info.version,
                kind=RequestKind.JOIN,
                moved_bytes=info.size,
                **placement(self._client.options),
                **fields,
            )
        except AlreadyExists:
            # 412 answers either condition, so find out which one did not hold.
            await self._require(target)
            raise
        except StorageError as error:
            if has_status(error, 412):
                raise Changed(detail=error.detail) from error
            raise
        if (
            info.version
            and completed.version != info.version
            and not (matched and self.supports_source_if_match)
        ):
            await self._require_source(source, info.version)
        return completed

    @property
    def supports_source_if_match(self) -> bool:
        """Whether a copy of one version is certain to be a copy of that version."""
        features = self._client.features
        is_known = self._conditions.are_known or features.is_certain(Feature.MATCHED_COPIES)
        return is_known and features.has(Feature.MATCHED_COPIES)

    async def _require_source(self, source: str, version: str) -> None:
        """Check by HEAD that the source still has this version.

        Raises Changed: if it has another. Raises NotFound: if it does not exist.
        """
        if version_of(await self._origin.call("HeadObject", Key=source)) != version:
            raise Changed(detail="the source is another version by now")

    async def _put_empty(self, source: str, target: str, info: FileInfo) -> CompletedWrite:
        head = await self._head(source, info)
        write_id = write_id_of(head) or str(uuid.uuid4())
        fields = await self._same_fields(source, head, write_id)
        await self._conditions.prepare_write(target, {"IfNoneMatch": "*"})
        completed, _ = await send_with_checksum(
            self._client,
            b"",
            lambda proof: complete_write(
                self._client,
                "PutObject",
                target,
                lambda found: write_id_of(found) == write_id and found.get("ContentLength") == 0,
                kind=RequestKind.DATA,
                moved_bytes=0,
                Body=RequestBody(b""),
                IfNoneMatch="*",
                **fields,
                **proof,
            ),
        )
        return completed

    async def _in_parts(self, source: str, target: str, info: FileInfo, *, exclusive: bool) -> CompletedWrite:
        head = await self._head(source, info)
        version = version_of(head)
        write_id = write_id_of(head) or str(uuid.uuid4())
        fields = await self._same_fields(source, head, write_id)
        upload = MultipartUpload(self._client, self._journal, target, lambda: fields, copies=True)
        wanted = min(self._client.options.copy_part_bytes, SWIFT_PART_BYTES)
        piece = copy_piece_bytes(info.size, wanted)
        ranges = copy_ranges(0, info.size, piece, self._client.options.min_part_bytes)
        sources = [
            CopySource(source, version, start, stop, stop - start == info.size, self._origin.options.bucket)
            for start, stop in ranges
        ]
        numbered = [(upload.reserve_number(), piece) for piece in sources]
        try:
            await for_each(
                numbered,
                lambda part: _copy_part(upload, *part),
                self._client.options.parallel_copies,
            )
            if version and not self.supports_source_if_match:
                await self._require_source(source, version)
            conditions = {"IfNoneMatch": "*"} if exclusive else {}
            if exclusive and not self._conditions.are_known:  # some stores honour it on PutObject alone
                await require_conditions(self._client, target, conditions)
            return await upload.complete(
                lambda found: write_id_of(found) == write_id and found.get("ContentLength") == info.size,
                **conditions,
            )
        finally:
            await upload.abort()

    async def _head(self, source: str, info: FileInfo) -> Answer:
        """Send a HEAD for the source.

        Raises Changed: if it differs from `info`. Raises NotFound: if it does not exist.
        """
        head = await self._origin.call("HeadObject", Key=source)
        same = info.version in (None, version_of(head))
        if not same or head.get("ContentLength", info.size) != info.size:
            raise Changed
        return head

    async def _same_fields(self, source: str, head: Answer, write_id: str) -> Fields:
        """Fields that give the copy the metadata, content type and tags of the source."""
        fields = {**carried_over(head), **placement(self._client.options)}
        metadata = head.get("Metadata", {})
        fields["Metadata"] = {**metadata, UPLOAD_METADATA: write_id}
        if UPLOAD_METADATA not in metadata:  # that id would show where the copy comes from
            fields["Metadata"] |= {FORMERLY_METADATA: formerly(head)}
        if head.get("TagCount"):
            fields |= await tags_of(self._origin, source)
        return fields

    async def rewrite(self, key: str, head: Head, metadata: dict[str, str]) -> CompletedWrite:
        """Copy an object onto itself with other metadata and keep everything else.

        If the store may copy a version other than the requested one, a HEAD checks the version first.

        Raises Changed: if the object has another version. Raises NotFound: if it does not exist.
        """
        await self._conditions.probe()
        fields = {**carried_over(head), "MetadataDirective": "REPLACE"}
        if self._client.options.acl is not None:
            fields["ACL"] = self._client.options.acl
        version = version_of(head)

        async def copy(matched: bool) -> CompletedWrite:
            is_sure = matched and self.supports_source_if_match
            if version and not is_sure:
                await self._require_source(key, version)
            return await complete_write(
                self._client,
                "CopyObject",
                key,
                lambda found: found.get("Metadata") == metadata,
                kind=RequestKind.JOIN,
                moved_bytes=int(head.get("ContentLength", 0)),
                **self._source(key, version if matched else None),
                **fields,
                Metadata=metadata,
            )

        matched = self._client.features.has(Feature.MATCHED_COPIES)
        try:
            return await copy(matched)
        except StorageError as error:
            if has_status(error, 412):
                raise Changed(detail=error.detail) from error
            if not (
                version and matched and may_lack_feature(self._client.features, Feature.MATCHED_COPIES, error)
            ):
                raise
            return await self._client.features.do_without(Feature.MATCHED_COPIES, error, copy(matched=False))

    def _source(self, key: str, version: str | None) -> Fields:
        fields: Fields = {"CopySource": {"Bucket": self._origin.options.bucket, "Key": key}}
        if version is not None:
            fields["CopySourceIfMatch"] = version
        return fields

    async def _require(self, target: str) -> None:
        """Raise Changed if there is no target that could have refused the copy."""
        try:
            await self._client.call("HeadObject", Key=target)
        except NotFound as error:
            raise Changed(detail="the source is another version by now") from error


async def _copy_part(upload: MultipartUpload, number: int, source: CopySource) -> None:
    refused = await upload.copy(number, source)
    if refused is not None:
        raise refused
