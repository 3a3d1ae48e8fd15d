"""Turns a client's bytes into an object, whole or not at all, by PutObject or a multipart upload.

Nothing is sent before a whole part has arrived. A smaller file is one PutObject.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Protocol

from s3sftp.backends.contract import Buffer, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_status, is_condition_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.objects import Fields, new_object, written_head
from s3sftp.backends.s3.read.ranged_get import read_range
from s3sftp.backends.s3.recovery.upload_journal import UploadJournal
from s3sftp.backends.s3.requests.list_pages import first_lines
from s3sftp.backends.s3.write.completion import CompletedWrite, written_by
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.multipart import MultipartUpload
from s3sftp.backends.s3.write.parallelism import PartParallelism
from s3sftp.backends.s3.write.part_sizes import (
    LONG_STEADY_PARTS,
    MAX_OBJECT_BYTES,
    MAX_PART_BYTES,
    MAX_PARTS,
    STEADY_PARTS,
    CopySource,
    copy_ranges,
    parallel_parts,
    part_size,
)
from s3sftp.backends.s3.write.put_object import put_object
from s3sftp.backends.s3.write.upload_part_copy import MOST_SENT_BYTES
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    NotFound,
    StorageFailure,
)
from s3sftp.runtime.concurrency import for_each


class RecordHold(Protocol):
    """An upload's hold on the record that keeps its parts if it ends without CLOSE (`kept/`)."""

    async def completed(self) -> None:
        """The object is visible."""

    async def may_abort(self) -> bool:
        """Give the record up; return whether the parts may be aborted."""


class S3Upload(Upload):
    """A file that is being written to the bucket."""

    hold: RecordHold | None = None
    """None: the upload is aborted if it ends without CLOSE."""

    def __init__(
        self,
        client: S3Client,
        journal: UploadJournal,
        place: Place,
        key: str,
        intent: WriteIntent,
        session: Session,
    ) -> None:
        self._options = client.options
        self._session = session
        self.place = place
        self.key = key
        self.intent = intent
        self.mark = self.write_id = str(uuid.uuid4())
        self.mtime = intent.mtime if client.options.keeps_times else None
        """The modification time, if it is known when the object is created."""
        self.mode = intent.mode
        """The permission bits, if they are known by then."""
        self._client = client
        self.multipart = MultipartUpload(
            client,
            journal,
            key,
            self.fields,
            copies=intent.base is not None,
        )
        self.parallelism = PartParallelism(client.options.parallel_parts)
        self.min_chunk_bytes = client.options.min_part_bytes
        self.plan()

    def fields(self) -> Fields:
        """Fields of the request that creates the object, as far as they are known."""
        return new_object(
            self._options, self.write_id, self.mtime, self.mode, key=self.key, owner=self._session
        )

    def reserve_numbers(self, count: int = 1) -> list[int]:
        """Reserve the positions of the next parts.

        Raises InvalidRequest: if the store accepts no more parts.
        """
        if self._of_one_size and self.multipart.reserved + count > MAX_PARTS:
            most = MAX_PARTS * self._options.part_bytes
            raise InvalidRequest(
                f"file too large: this storage takes {most} bytes with the present s3.part_bytes",
                detail=f"it wants parts of one size, and at most {MAX_PARTS}: set s3.part_bytes higher",
            )
        numbers = [self.multipart.reserve_number() for _ in range(count)]
        self.plan()
        return numbers

    def conditions(self, *, base_kept: bool) -> dict[str, str]:
        """The conditions under which the object may be completed."""
        if self.intent.exclusive:
            return {"IfNoneMatch": "*"}
        base = self.intent.base if base_kept else None
        return {"IfMatch": base.version} if base is not None and base.version is not None else {}

    def plan(self) -> None:
        """Set the size of the next part and how many may be under way."""
        reserved, steady = self.multipart.reserved, self._options.part_bytes
        grown = part_size(reserved + 1, steady, self._steady_parts)
        self.chunk_bytes = steady if self._of_one_size else grown
        self.parallel_chunks = parallel_parts(self.chunk_bytes, self.parallelism.size)
        self.keep_unit_bytes = steady if self._of_one_size or self._may_have_to_be(reserved) else 1

    @property
    def _of_one_size(self) -> bool:
        """Whether the store is known to require parts of one size."""
        return not self._client.features.has(Feature.UNEQUAL_PARTS)

    def _may_have_to_be(self, reserved: int) -> bool:
        """Whether to keep bytes in parts of one size to be safe.

        A store other than AWS may require that, and refuses others only after everything has been sent. It
        costs little while the parts are few.
        """
        base = self.intent.base
        if base is None or self._client.features.is_aws:
            return False
        return reserved + base.size // self._options.part_bytes < self._steady_parts

    @property
    def _steady_parts(self) -> int:
        return STEADY_PARTS if self._client.features.is_aws else LONG_STEADY_PARTS


class UploadOperations:
    """The contract's write operations."""

    def __init__(
        self, client: S3Client, cache: MetadataCache, journal: UploadJournal, conditions: ConditionalSupport
    ) -> None:
        self._client = client
        self._cache = cache
        self._journal = journal
        self._conditions = conditions
        self._sending = asyncio.Lock()
        """Held while a kept part is sent because it cannot be copied."""

    def begin(self, place: Place, key: str, intent: WriteIntent, session: Session) -> S3Upload:
        """Begin an upload. Sends nothing."""
        return S3Upload(self._client, self._journal, place, key, intent, session)

    async def chunk(self, upload: S3Upload, data: Buffer) -> None:
        """Send one part."""
        [number] = upload.reserve_numbers()  # before any await: calls begin in the order of the file
        now = asyncio.get_running_loop().time
        upload.parallelism.began(now())
        try:
            await upload.multipart.upload(number, data)
        except BaseException:
            upload.parallelism.failed()
            raise
        upload.parallelism.ended(len(data), now())
        upload.plan()

    async def copy_range(self, upload: S3Upload, start: int, stop: int, session: Session) -> None:
        """Have the store copy bytes `[start, stop)` of the file that is being replaced.

        Raises Changed: if that file has another version. Raises InvalidRequest: if the upload has no base.
        """
        base = upload.intent.base
        if base is None:
            raise InvalidRequest(detail="keep_range without a base")
        self._check_base(upload, session)
        most = upload.keep_unit_bytes if upload.keep_unit_bytes > 1 else MAX_PART_BYTES
        ranges = list(copy_ranges(start, stop, most, upload.min_chunk_bytes))
        pieces = [
            (number, *piece)
            for number, piece in zip(upload.reserve_numbers(len(ranges)), ranges, strict=True)
        ]

        async def copy(piece: tuple[int, int, int]) -> None:
            await self._copy_piece(upload, base.version, *piece)

        await copy(pieces[0])  # alone first: it may show that the store copies no parts into this upload
        await for_each(pieces[1:], copy, min(len(pieces), self._client.options.parallel_copies))

    async def _copy_piece(
        self, upload: S3Upload, version: str | None, number: int, start: int, stop: int
    ) -> None:
        """Have the store copy one part. If the store refuses and already has bytes of this upload, or copies
        no parts at all, send the part instead: one at a time, because its bytes are in memory."""
        base = upload.intent.base
        whole = base is not None and (start, stop) == (0, base.size)
        try:
            refused = await upload.multipart.copy(number, CopySource(upload.key, version, start, stop, whole))
            if refused is None:
                return
            if stop - start > max(MOST_SENT_BYTES, self._client.options.part_bytes):
                raise refused
            async with self._sending:
                pieces = read_range(self._client, self._cache, upload.key, start, stop, version)
                await upload.multipart.upload(number, b"".join([piece async for piece in pieces]))
            if has_status(refused, 405, 501):
                return  # the reason may be other than checksums
            features = self._client.features
            matched = version is not None and features.has(Feature.MATCHED_COPIES)
            if not (matched and is_condition_refusal(refused)):  # otherwise the condition may be the reason
                features.lacks(Feature.COPIED_PART_CHECKSUMS, refused.detail)
        except NotFound as error:
            raise Changed(detail=error.detail) from error

    async def complete(self, upload: S3Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        """Complete the upload: make the object visible.

        The returned time is what a HEAD would report, as far as it is known.

        Raises Changed: if the base has another version. Raises AlreadyExists: if the upload is exclusive and
        the file exists. Raises StorageFailure: if the sizes differ.
        """
        if upload.multipart.reserved and len(tail):
            await self.chunk(upload, tail)
        self._check_size(upload, tail, finish)
        if finish.base_kept:
            self._check_base(upload, session)
        conditions = upload.conditions(base_kept=finish.base_kept)
        with self._cache.changing(upload.key, session) as change:
            in_parts = upload.multipart.reserved > 0
            await self._conditions.prepare_write(upload.key, conditions, in_parts=in_parts)
            if in_parts:
                completed = await upload.multipart.complete(_visible(upload, finish.size), **conditions)
                fields = upload.fields()
            else:
                upload.mtime = self._time_of(upload, finish)
                upload.mode = upload.mode if finish.mode is None else finish.mode
                fields = upload.fields()
                completed = await put_object(
                    self._client, upload.key, tail, upload.write_id, fields, conditions
                )
            mtime = completed.written_at if upload.mtime is None else upload.mtime
            upload.checksum, upload.version_id = completed.checksum, completed.version_id
            upload.stored = info = FileInfo.file(finish.size, mtime, completed.version, upload.mode)
            # without a time in its metadata, it has that of the upload, which only the store knows
            change.left(info, written_head(fields, info), time_unknown=upload.mtime is None)
        await upload.multipart.journal_cleared()
        if upload.hold is not None:
            await asyncio.shield(self._client.run_in_background(upload.hold.completed()))
        return info

    def _time_of(self, upload: S3Upload, finish: Finish) -> float | None:
        """Return the modification time of a file stored in one request. If the client set none, it is the
        present time, so that all readers see the same time and a rename keeps it."""
        if not self._client.options.keeps_times:
            return None
        given = upload.mtime if finish.mtime is None else finish.mtime
        return float(int(time.time())) if given is None else given

    async def whole(self, place: Place, key: str, data: Buffer, session: Session) -> FileInfo:
        """Store a whole file at once."""
        upload = self.begin(place, key, WriteIntent(), session)
        return await self.complete(upload, data, Finish(len(data)), session)

    async def marker(self, key: str, session: Session) -> None:
        """Create the marker of a directory; its key ends in a slash.

        Raises AlreadyExists: if the key exists.
        """
        with self._cache.changing(key.removesuffix("/"), session) as change:
            try:
                made = await self._put_new_marker(key)
            except AlreadyExists:
                # Some stores keep the ghost of a directory whose last file is gone, and it refuses a marker.
                if await first_lines(self._client, key, 1, needed=()):
                    raise
                made = await self._put_marker(key, {})
            change.left(FileInfo.directory(made.written_at if self._client.options.keeps_times else None))

    async def replace_marker(self, key: str) -> None:
        """Create or replace a marker. Does not change the cache.

        Raises AlreadyExists: if the existing marker has content, which no listing shows.
        """
        try:
            await self._put_new_marker(key)
        except AlreadyExists:
            lines = await first_lines(self._client, key, 1)
            if any(line["Key"] == key and line["Size"] for line in lines):
                raise
            await self._put_marker(key, {})

    async def _put_new_marker(self, key: str) -> CompletedWrite:
        conditions = {"IfNoneMatch": "*"}
        await self._conditions.prepare_write(key, conditions)
        return await self._put_marker(key, conditions)

    async def _put_marker(self, key: str, conditions: dict[str, str]) -> CompletedWrite:
        write_id = str(uuid.uuid4())
        fields = new_object(self._client.options, write_id, None)
        return await put_object(self._client, key, b"", write_id, fields, conditions)

    async def abort(self, upload: S3Upload) -> None:
        """Abort the upload unless it is completed, kept, or continued by another session."""
        if upload.stored is not None or upload.multipart.is_left:
            return
        if upload.hold is None:
            await upload.multipart.abort()
        else:
            await asyncio.shield(self._client.run_in_background(self._abort_held(upload, upload.hold)))

    async def _abort_held(self, upload: S3Upload, hold: RecordHold) -> None:
        await upload.multipart.halt()  # so that no record is written from here on
        if await hold.may_abort():
            await upload.multipart.abort()
        else:
            await upload.multipart.leave()

    def _check_base(self, upload: S3Upload, session: Session) -> None:
        """Raise Changed if the session has since seen or stored another version than the base. Some stores
        ignore the conditions that would report it."""
        base, cached = upload.intent.base, self._cache.get(upload.key, session)
        if base is None or base.version is None or cached is None:
            return
        if cached.info.version != base.version:
            raise Changed

    def _check_size(self, upload: S3Upload, tail: Buffer, finish: Finish) -> None:
        """Check that the completed object will have exactly the size that the client sent."""
        size = upload.multipart.size if upload.multipart.reserved else len(tail)
        if size != finish.size:
            raise StorageFailure("upload is incomplete", detail=f"{size} bytes instead of {finish.size}")
        if size > MAX_OBJECT_BYTES:
            raise InvalidRequest("file too large")


def _visible(upload: S3Upload, size: int) -> Callable[[Answer], bool]:
    """Tells from a HEAD whether this upload created the object. One that may have been continued elsewhere
    shares its id with that one, and differs in size."""
    is_ours = written_by(upload.write_id)
    if upload.hold is None:
        return is_ours
    return lambda head: is_ours(head) and head.get("ContentLength") == size
