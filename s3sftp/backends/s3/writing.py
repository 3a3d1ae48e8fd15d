"""PutObject and multipart uploads: a client's bytes become an object, whole or not at all.

Nothing is sent before there is a part's worth; a file that ends before that is one PutObject.
"""

from __future__ import annotations

import asyncio
import uuid

from s3sftp.backends.contract import Buffer, FileInfo, Finish, Place, Upload, WriteIntent
from s3sftp.backends.s3.bodies import MemoryBody
from s3sftp.backends.s3.cache import Facts
from s3sftp.backends.s3.checksums import digest
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.list_pages import beginning
from s3sftp.backends.s3.multipart import Multipart
from s3sftp.backends.s3.objects import Fields, new_object, written_head
from s3sftp.backends.s3.ownership import Journal
from s3sftp.backends.s3.parts import MAX_OBJECT_BYTES, MAX_PART_BYTES, copy_ranges, parallel_parts, part_size
from s3sftp.backends.s3.publishing import Published, publish, written_by
from s3sftp.backends.s3.retries import Effort
from s3sftp.backends.s3.window import Window
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    NotFound,
    StorageFailure,
)


class S3Upload(Upload):
    """A file on its way to the bucket."""

    def __init__(self, store: Store, journal: Journal, place: Place, key: str, intent: WriteIntent) -> None:
        self._options = store.options
        self.place = place
        self.key = key
        self.intent = intent
        self.write_id = str(uuid.uuid4())
        self.mtime = intent.mtime
        """The modification time as far as it is known when the object is created."""
        self.mode = intent.mode
        """The permission bits in the same way."""
        self.multipart = Multipart(
            store, journal, key, new_object(store.options, self.write_id, intent.mtime, intent.mode)
        )
        self.window = Window(store.options.parallel_parts)
        self.min_chunk_bytes = store.options.min_part_bytes
        self.plan()

    def take(self) -> int:
        """The position of the next part."""
        number = self.multipart.take()
        self.plan()
        return number

    def conditions(self, *, base_kept: bool) -> dict[str, str]:
        """What must hold for the file to be published."""
        if self.intent.exclusive:
            return {"IfNoneMatch": "*"}
        base = self.intent.base if base_kept else None
        return {"IfMatch": base.version} if base is not None and base.version is not None else {}

    def plan(self) -> None:
        """Say how large the next part is, and how many may be under way."""
        self.chunk_bytes = part_size(self.multipart.taken + 1, self._options.part_bytes)
        self.parallel_chunks = parallel_parts(self.chunk_bytes, self.window.size)


class Writing:
    """Writes files."""

    def __init__(self, store: Store, facts: Facts, journal: Journal) -> None:
        self._store = store
        self._facts = facts
        self._journal = journal

    def begin(self, place: Place, key: str, intent: WriteIntent) -> S3Upload:
        """Costs no request."""
        return S3Upload(self._store, self._journal, place, key, intent)

    async def chunk(self, upload: S3Upload, data: Buffer) -> None:
        """Send one part."""
        number = upload.take()  # before anything is awaited: calls begin in the order of the file
        now = asyncio.get_running_loop().time
        upload.window.began(now())
        try:
            await upload.multipart.upload(number, data)
        except BaseException:
            upload.window.failed()
            raise
        upload.window.ended(len(data), now())
        upload.plan()

    async def keep(self, upload: S3Upload, start: int, stop: int) -> None:
        """Have the store copy bytes of the file that is being replaced. Raises Changed."""
        base = upload.intent.base
        if base is None:
            raise InvalidRequest(detail="keep_range without a base")
        self._check_base(upload)
        pieces = list(copy_ranges(start, stop, MAX_PART_BYTES, upload.min_chunk_bytes))
        numbers = [upload.take() for _ in pieces]
        for number, (first, last) in zip(numbers, pieces, strict=True):
            try:
                await upload.multipart.copy(number, upload.key, base.version, first, last)
            except (NotFound, Changed) as error:
                self._facts.forget(upload.key)
                raise Changed(detail=error.detail) from error

    async def finish(self, upload: S3Upload, tail: Buffer, finish: Finish) -> FileInfo:
        """Publish. The returned time is what a HEAD would tell, as far as that is known."""
        if upload.multipart.taken and len(tail):
            await self.chunk(upload, tail)
        self._check_size(upload, tail, finish)
        if finish.base_kept:
            self._check_base(upload)
        conditions = upload.conditions(base_kept=finish.base_kept)
        with self._facts.changing(upload.key) as change:
            if upload.multipart.taken:
                published = await upload.multipart.complete(written_by(upload.write_id), **conditions)
            else:
                upload.mtime = upload.mtime if finish.mtime is None else finish.mtime
                upload.mode = upload.mode if finish.mode is None else finish.mode
                published = await self._put_file(upload, tail, conditions)
            mtime = published.moment if upload.mtime is None else upload.mtime
            upload.stored = info = FileInfo.file(finish.size, mtime, published.version, upload.mode)
            fields = new_object(self._store.options, upload.write_id, upload.mtime, upload.mode)
            change.left(info, written_head(fields, info), published.moment)
        await upload.multipart.forgotten()
        return info

    async def _put_file(self, upload: S3Upload, data: Buffer, conditions: dict[str, str]) -> Published:
        fields = new_object(self._store.options, upload.write_id, upload.mtime, upload.mode)
        return await self._put(upload.key, data, upload.write_id, fields, conditions)

    async def _put(
        self, key: str, data: Buffer, write_id: str, fields: Fields, conditions: dict[str, str]
    ) -> Published:
        """One PutObject. Does not touch the facts."""
        proof = await digest(data, self._store.options.checksum)
        return await publish(
            self._store,
            "PutObject",
            key,
            written_by(write_id),
            effort=Effort.DATA,
            moved_bytes=len(data),
            Body=MemoryBody(data),
            **fields,
            **proof.fields,
            **conditions,
        )

    async def whole(self, place: Place, key: str, data: Buffer) -> FileInfo:
        """Publish a whole file at once."""
        upload = self.begin(place, key, WriteIntent())
        return await self.finish(upload, data, Finish(len(data)))

    async def marker(self, key: str) -> None:
        """Make the object that stands for a directory; its key ends in a slash. Raises AlreadyExists."""
        with self._facts.changing(key.removesuffix("/")) as change:
            try:
                made = await self._put_marker(key, {"IfNoneMatch": "*"})
            except AlreadyExists:
                # some stores keep the ghost of a directory whose last file is gone, and it refuses a marker
                if await beginning(self._store, key, 1, needed=()):
                    raise
                made = await self._put_marker(key, {})
            change.left(FileInfo.directory(made.moment))

    async def replace_marker(self, key: str) -> None:
        """The same where one may be already. Does not touch the facts. Raises AlreadyExists when that one has
        content, which no listing shows."""
        try:
            await self._put_marker(key, {"IfNoneMatch": "*"})
        except AlreadyExists:
            lines = await beginning(self._store, key, 1)
            if any(line["Key"] == key and line["Size"] for line in lines):
                raise
            await self._put_marker(key, {})

    async def _put_marker(self, key: str, conditions: dict[str, str]) -> Published:
        write_id = str(uuid.uuid4())
        return await self._put(
            key, b"", write_id, new_object(self._store.options, write_id, None), conditions
        )

    async def abort(self, upload: S3Upload) -> None:
        """Throw it away, unless it is published."""
        if upload.stored is None:
            await upload.multipart.abort()

    def _check_base(self, upload: S3Upload) -> None:
        """Raise Changed when this process knows already what the store's If-Match would say."""
        base, fact = upload.intent.base, self._facts.get(upload.key)
        if base is None or base.version is None or fact is None:
            return
        if fact.info is None or fact.info.version != base.version:
            raise Changed

    def _check_size(self, upload: S3Upload, tail: Buffer, finish: Finish) -> None:
        """What is about to be published must be what the client sent, to the byte."""
        size = upload.multipart.size if upload.multipart.taken else len(tail)
        if size != finish.size:
            raise StorageFailure("upload is incomplete", detail=f"{size} bytes instead of {finish.size}")
        if size > MAX_OBJECT_BYTES:
            raise InvalidRequest("file too large")
