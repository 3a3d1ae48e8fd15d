"""Implements the contract on a dictionary: each method waits as a storage would, then acts in one step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from s3sftp.backends.contract import (
    Amount,
    Buffer,
    CompleteBackend,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)
from s3sftp.backends.memory.bucket import MemoryBucket, StoredObject
from s3sftp.backends.memory.uploads import MemoryUpload, contract_violation
from s3sftp.errors import AlreadyExists, Changed, NoSpace, NotFound

Fail = Callable[[str, Place], None]
"""Called with the method's name and the place before each effect. The call raises what this raises."""


class MemoryBackend(CompleteBackend):
    """A storage with initial content `{"a/b.txt": b"..."}`; the other arguments determine its behaviour.

    Every call waits `latency` seconds before it takes effect; `fail` may raise in any of them. `max_bytes`
    bounds the bytes of objects and uploads. `chunk_growth_bytes` is added to the chunk size with each chunk.
    Reads yield pieces of `read_bytes`, listings pages of `page_entries`.
    """

    name = "memory"
    begin_is_free = True

    def __init__(
        self,
        seed: Mapping[str, bytes] | None = None,
        *,
        chunk_bytes: int = 1 << 20,
        min_chunk_bytes: int = 1,
        keep_unit_bytes: int = 1,
        parallel_chunks: int = 1,
        chunk_growth_bytes: int = 0,
        page_entries: int = 1000,
        read_bytes: int = 256 * 1024,
        max_bytes: int | None = None,
        latency: float = 0.0,
        fail: Fail | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.chunk_bytes = chunk_bytes
        self.min_chunk_bytes = min_chunk_bytes
        self.keep_unit_bytes = keep_unit_bytes
        self.parallel_chunks = parallel_chunks
        self.chunk_growth_bytes = chunk_growth_bytes
        self.page_entries = page_entries
        self.read_bytes = read_bytes
        self.max_bytes = max_bytes
        self.latency = latency
        self.fail = fail
        self.uploads: set[MemoryUpload] = set()
        """Unfinished uploads; empty if nothing was left behind."""
        self._clock = clock
        self._bucket = MemoryBucket()
        for key, data in (seed or {}).items():
            self.put(key, data)

    @property
    def first_chunk_bytes(self) -> int:
        return self.chunk_bytes

    @property
    def objects(self) -> dict[bytes, StoredObject]:
        """The objects by key. Tests may change them behind the server's back."""
        return self._bucket.objects

    @property
    def open_uploads(self) -> int:
        return len(self.uploads)

    def put(self, key: str | bytes, data: Buffer, mtime: float | None = None) -> None:
        """Store an object behind the server's back."""
        raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
        self.objects[raw] = StoredObject.of([bytes(data)], self._clock() if mtime is None else mtime)

    def contents(self) -> dict[str, bytes]:
        """All objects, markers included, as a plain dictionary for comparisons."""
        return {key.decode("utf-8", "surrogateescape"): each.data for key, each in self.objects.items()}

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    # names

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        await self._call("file_info", place)
        return self._bucket.file_info(place)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        await self._call("list_dir", place)
        entries = self._bucket.entries(place)
        for at in range(0, len(entries), self.page_entries):
            if at:
                await self._call("list_page", place)
            yield entries[at : at + self.page_entries]

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._call("make_dir", place)
        self._bucket.make_dir(place, self._clock())

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._call("del_dir", place)
        self._bucket.del_dir(place)

    async def delete(self, place: Place, session: Session) -> None:
        await self._call("delete", place)
        self._bucket.delete(place)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self._call("rename", source)
        self._bucket.rename(source, target, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        await self._call("copy", source)
        stored = self._bucket.file(source)
        if version not in (None, stored.version):
            raise Changed
        self._bucket.refuse_file(target)
        self._require_space(stored.size, replaced=target)
        self.objects[target.key] = copied = replace(stored, mtime=self._clock())
        return copied.info

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        await self._call("set_mtime", place)
        return self._bucket.set_mtime(place, mtime)

    async def usage(self, place: Place, session: Session) -> Usage:
        await self._call("usage", place)
        return Usage(self.max_bytes, self._used_bytes())

    async def total_below(self, place: Place, session: Session) -> Amount:
        await self._call("total_below", place)
        return self._bucket.total_below(place)

    # bytes

    async def read_file(self, place: Place, session: Session) -> bytes:
        await self._call("read_file", place)
        return self._bucket.file(place).data

    async def refuse_file(self, place: Place, session: Session) -> None:
        self._bucket.refuse_file(place)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        await self._call("write_file", place)
        self._bucket.refuse_file(place)
        return self._complete(place, [bytes(data)], None)

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        await self._call("read_file_range", place)
        if place.key not in self.objects:
            raise NotFound
        stored = self._bucket.at_version(place, version)
        if not 0 <= start <= stop <= stored.size:
            raise Changed
        for view in stored.range(start, stop):
            for at in range(0, len(view), self.read_bytes):
                await self._call("read_piece", place)
                yield view[at : at + self.read_bytes]

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        await self._call("begin_write", place)
        self._bucket.refuse_file(place)
        upload = MemoryUpload(
            place,
            intent,
            chunk_bytes=self.chunk_bytes,
            min_chunk_bytes=self.min_chunk_bytes,
            keep_unit_bytes=self.keep_unit_bytes,
            parallel_chunks=self.parallel_chunks,
            growth_bytes=self.chunk_growth_bytes,
        )
        self.uploads.add(upload)
        return upload

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        ours = _ours(upload)
        with ours.chunk(len(data)) as position:
            await self._call("write_chunk", ours.place)
            self._require_space(len(data))
            ours.hold(position, data)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        ours = _ours(upload)
        with ours.position() as position:
            await self._call("keep_range", ours.place)
            if ours.intent.base is None:
                raise contract_violation("no base to keep bytes of")
            base = self._bucket.at_version(ours.place, ours.intent.base.version)
            if not 0 <= start < stop <= base.size:
                raise contract_violation(f"the bytes {start} to {stop} are not in the base")
            if (stop - start) % self.keep_unit_bytes:
                raise contract_violation(
                    f"a kept range of {stop - start} bytes: no multiple of {self.keep_unit_bytes}"
                )
            self._require_space(stop - start)
            ours.hold(position, b"".join(base.range(start, stop)))

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        ours = _ours(upload)
        pieces = ours.whole(tail, finish.size)
        await self._call("finish_write", ours.place)
        ours.must_run()
        if ours.intent.exclusive and ours.place.key in self.objects:
            raise AlreadyExists
        self._bucket.refuse_file(ours.place)
        if ours.intent.base is not None and finish.base_kept:
            self._bucket.at_version(ours.place, ours.intent.base.version)
        self._require_space(finish.size - ours.held_bytes, replaced=ours.place)
        self._end(ours)
        return self._complete(ours.place, pieces, finish.mtime)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        self._end(_ours(upload))
        await asyncio.sleep(self.latency)

    async def _call(self, method: str, place: Place) -> None:
        """Wait as a storage would, then call `fail`. The caller's next steps happen without a wait."""
        await asyncio.sleep(self.latency)
        if self.fail is not None:
            self.fail(method, place)

    def _used_bytes(self) -> int:
        return self._bucket.stored_bytes + sum(upload.held_bytes for upload in self.uploads)

    def _require_space(self, wanted: int, *, replaced: Place | None = None) -> None:
        if self.max_bytes is None:
            return
        freed = self._bucket.size_of(replaced) if replaced else 0
        if self._used_bytes() - freed + wanted > self.max_bytes:
            raise NoSpace

    def _complete(self, place: Place, pieces: Sequence[bytes], mtime: float | None) -> FileInfo:
        self._require_space(sum(map(len, pieces)), replaced=place)
        stored = StoredObject.of(pieces, self._clock() if mtime is None else mtime)
        self.objects[place.key] = stored
        return stored.info

    def _end(self, upload: MemoryUpload) -> None:
        upload.end()
        self.uploads.discard(upload)


def _ours(upload: Upload) -> MemoryUpload:
    if not isinstance(upload, MemoryUpload):
        raise TypeError("the upload is another backend's")
    return upload
