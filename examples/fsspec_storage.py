"""Any file system of fsspec as a storage: Google Cloud Storage, Azure, HDFS, SMB, a zip archive, memory.

    fs = fsspec.filesystem("gcs", use_listings_cache=False)
    s3sftp.Server(backend=FsspecStorage(fs, "bucket/files", "bucket/uploads"), auth=…)

An upload is written below a second directory, and moved when it is whole. fsspec's calls block, so each
runs in a thread; its errors are OSErrors, which need no translation. What it cannot do for every storage is
not promised: the times that clients give are not kept, and an exclusive upload wins against others of this
process alone. A rename is a copy and a removal of each file, but on a local disk. Where the file system keeps
no empty directories, as most object storages in fsspec do not, none can be made: they come with their files.
"""

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from s3sftp.backends import Backend, Buffer, Entry, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    Unsupported,
)

P = ParamSpec("P")
T = TypeVar("T")
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""What the file systems call the time of the last change, the best name first."""


class FsspecUpload(Upload):
    def __init__(self, place: Place, intent: WriteIntent, path: str, file: Any) -> None:
        self.place, self.intent, self.path, self.file = place, intent, path, file


class FsspecStorage(Backend):
    def __init__(self, fs: AbstractFileSystem, files: str, uploads: str, piece_bytes: int = 4 << 20) -> None:
        """`files` is what users see; `uploads`, not within it, is where files are until they are whole."""
        self._fs, self._files, self._uploads, self._piece_bytes = fs, files, uploads, piece_bytes
        self._changing = threading.Lock()  # between a look and what is done because of it
        while hasattr(fs, "fs"):  # `dir::file://…` and other wrappers
            fs = fs.fs
        self._moves_at_once = isinstance(fs, LocalFileSystem)

    # ── each call of the contract, in a thread ──────────────────────────────────────────────────────

    async def start(self) -> None:
        for path in (self._files, self._uploads):
            await asyncio.to_thread(self._fs.makedirs, path, exist_ok=True)

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return await asyncio.to_thread(self._info, place)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        yield await asyncio.to_thread(self._entries, place)

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._change(self._make_dir, place)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._change(self._del_dir, place)

    async def delete(self, place: Place, session: Session) -> None:
        await self._change(self._delete, place)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self._change(self._rename, source, target, overwrite)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return await asyncio.to_thread(self._read, place, None, None, None)

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        for at in range(start, stop, self._piece_bytes):
            yield await asyncio.to_thread(self._read, place, at, min(at + self._piece_bytes, stop), version)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        upload = await self.begin_write(place, WriteIntent(), session)
        try:
            return await self.finish_write(upload, data, Finish(len(data)), session)
        except BaseException:
            await self.abort_write(upload, session)
            raise

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> FsspecUpload:
        path = f"{self._uploads}/{uuid.uuid4().hex}"
        return FsspecUpload(place, intent, path, await asyncio.to_thread(self._fs.open, path, "wb"))

    async def write_chunk(self, upload: FsspecUpload, data: Buffer, session: Session) -> None:
        await asyncio.to_thread(upload.file.write, data)

    async def finish_write(
        self, upload: FsspecUpload, tail: Buffer, finish: Finish, session: Session
    ) -> FileInfo:
        await asyncio.to_thread(upload.file.write, tail)
        await asyncio.to_thread(upload.file.close)
        return await self._change(self._publish, upload, finish)

    async def abort_write(self, upload: FsspecUpload, session: Session) -> None:
        await asyncio.to_thread(self._discard, upload)

    async def _change(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def one_at_a_time() -> T:
            try:
                with self._changing:
                    return change(*args, **kwargs)
            except NotImplementedError as error:
                raise Unsupported("this storage cannot do that") from error

        return await asyncio.to_thread(one_at_a_time)

    # ── what is done there ──────────────────────────────────────────────────────────────────────────

    def _path(self, place: Place) -> str:
        return "/".join([self._files, *map(os.fsdecode, place.names)])

    def _info(self, place: Place) -> FileInfo:
        try:
            return info_of(self._fs.info(self._path(place)))
        except NotADirectoryError as error:  # below a file there is nothing
            raise FileNotFoundError from error

    def _look(self, place: Place) -> FileInfo | None:
        try:
            return self._info(place)
        except FileNotFoundError:
            return None

    def _entries(self, place: Place) -> list[Entry]:
        if not self._info(place).is_dir:
            raise NotADirectory
        own = self._path(place).strip("/")
        found = [
            info for info in self._fs.ls(self._path(place), detail=True) if info["name"].strip("/") != own
        ]
        return [
            Entry(os.fsencode(info["name"].rstrip("/").rpartition("/")[2]), info_of(info)) for info in found
        ]

    def _make_dir(self, place: Place) -> None:
        if self._look(place):
            raise AlreadyExists
        self._make_parents(place)
        self._fs.mkdir(self._path(place), create_parents=False)
        if not self._look(place):  # some do nothing, and say nothing
            raise Unsupported("this storage keeps no empty directories")

    def _make_parents(self, place: Place) -> None:
        parent = self._look(place.parent)
        if parent is None:
            self._fs.makedirs(self._path(place.parent), exist_ok=True)
        elif not parent.is_dir:
            raise NotADirectory

    def _del_dir(self, place: Place) -> None:
        if self._entries(place):
            raise NotEmpty
        self._fs.rmdir(self._path(place))

    def _delete(self, place: Place) -> None:
        if self._info(place).is_dir:
            raise IsADirectory
        self._fs.rm_file(self._path(place))

    def _rename(self, source: Place, target: Place, overwrite: bool) -> None:
        is_dir, there = self._info(source).is_dir, self._look(target)
        if target.is_within(source) and (is_dir or target != source):
            raise InvalidRequest("cannot be moved into itself")
        if there and (not overwrite or is_dir or there.is_dir):
            raise AlreadyExists
        if source != target:
            self._make_parents(target)
            self._move(self._path(source), self._path(target))

    def _move(self, source: str, target: str) -> None:
        if self._moves_at_once:
            self._fs.mv(source, target)
            return
        # `mv` of other file systems takes `*` and `[` for patterns
        found = self._fs.find(source, withdirs=True, detail=True)
        start = len(self._fs._strip_protocol(source))
        directories = [path for path in found if found[path]["type"] == "directory"]
        files = [path for path in found if path not in directories]
        for path in directories:
            self._fs.makedirs(target + path[start:], exist_ok=True)
        for path in files:
            self._fs.cp_file(path, target + path[start:])
        for path in files:
            self._fs.rm_file(path)
        for path in sorted(directories, reverse=True):
            if self._fs.isdir(path):  # else it was there for its files alone
                self._fs.rmdir(path)

    def _read(self, place: Place, start: int | None, stop: int | None, version: str | None) -> bytes:
        if self._info(place).is_dir:
            raise IsADirectory
        data: bytes = self._fs.cat_file(self._path(place), start, stop)
        if start is not None and stop is not None and len(data) != stop - start:
            raise Changed
        if version not in (None, self._info(place).version):  # asked afterwards: so long it was this one
            raise Changed
        return data

    def _publish(self, upload: FsspecUpload, finish: Finish) -> FileInfo:
        there, base = self._look(upload.place), upload.intent.base
        if there and there.is_dir:
            raise IsADirectory
        if there and upload.intent.exclusive:
            raise AlreadyExists
        if base and finish.base_kept and (there is None or there.version != base.version):
            raise Changed
        self._make_parents(upload.place)
        self._move(upload.path, self._path(upload.place))
        return self._info(upload.place)

    def _discard(self, upload: FsspecUpload) -> None:
        upload.file.close()
        if self._fs.exists(upload.path):
            self._fs.rm_file(upload.path)


def info_of(info: dict[str, Any]) -> FileInfo:
    """What fsspec knows of a file, in the words of the contract."""
    if info["type"] == "directory":
        return FileInfo.directory()
    time = next((info[name] for name in TIMES if info.get(name) is not None), None)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if isinstance(time, datetime):
        time = time.timestamp()
    mark = next((info[name] for name in ("ETag", "etag", "ino") if info.get(name) is not None), "")
    version = f"{mark}-{info['size']}-{time}" if mark or time else None
    return FileInfo.file(info["size"], time, version)
