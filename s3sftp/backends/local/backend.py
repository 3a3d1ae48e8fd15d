"""Implements the contract on a directory of this machine.

This module determines the order of the steps. The disk operations are in its sibling modules, and every call
of them runs in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

from s3sftp.backends.contract import (
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
from s3sftp.backends.local import namespace, stale_uploads
from s3sftp.backends.local.directory_scan import DirectoryScan
from s3sftp.backends.local.file_info import info_of
from s3sftp.backends.local.options import LocalOptions
from s3sftp.backends.local.source_file import PIECE_BYTES, SourceFile, copy_range
from s3sftp.backends.local.threads import DiskThreads
from s3sftp.backends.local.tree import DirectoryTree, Root, open_root
from s3sftp.backends.local.uploads import LocalUpload, UncommittedFile, contract_violation
from s3sftp.errors import IsADirectory
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.local")
_READ_BYTES = 256 << 10


class LocalBackend(CompleteBackend):
    """Files below one directory. No path leads out of it."""

    name = "local"

    def __init__(self, options: LocalOptions, *, sweeps: bool = True) -> None:
        """`sweeps`: whether it removes at its start what unfinished uploads have left."""
        self.options = options
        self._sweeps = sweeps
        self._threads = DiskThreads(options.threads)
        self._root: Root | None = None
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def first_chunk_bytes(self) -> int:
        return self.options.chunk_bytes

    async def start(self) -> None:
        """Open the root.

        Raises ConfigurationError: if it cannot be served.
        """
        root = await self._threads.run(self._open_root)
        _log.debug("storage.opened", containment="openat2" if root.by_openat2 else "walk")
        if root.may_have_stale_files and self._sweeps:
            self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        await cancel_and_wait(self._sweeping)
        root, self._root = self._root, None
        if root is not None:
            await self._threads.surely(root.close)
        threads, self._threads = self._threads, DiskThreads(self.options.threads)  # it may be started again
        await threads.stop()

    def _open_root(self) -> Root:
        """Runs in a thread, which continues if its caller is cancelled; `stop` then finds the root here."""
        self._root = open_root(self.options)
        return self._root

    # names

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return info_of(await self._threads.run(self._tree.stat, place))

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        scan = DirectoryScan(self._tree, place)
        try:
            while (page := await self._threads.run(scan.next_page)) is not None:
                yield page
        finally:
            await self._threads.surely(scan.close)

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._threads.run(namespace.make_dir, self._tree, place)

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._threads.run(namespace.del_dir, self._tree, place)

    async def delete(self, place: Place, session: Session) -> None:
        await self._threads.run(namespace.delete, self._tree, place)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self._threads.run(namespace.rename, self._tree, source, target, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        opened = SourceFile(self._tree, source)
        file = self._new_file(target)
        try:
            size = (await self._threads.run(opened.open, version)).size
            await self._threads.run(file.open)
            await self._copy(opened, 0, size, file, 0)
            return await self._threads.run(file.complete, mtime=None, exclusive=False, base=None)
        finally:
            try:
                await self._threads.surely(opened.close)
            finally:  # also if the client disconnects at this moment
                await self._threads.surely(file.close)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        await self._threads.run(namespace.set_mtime, self._tree, place, mtime)
        return True

    async def usage(self, place: Place, session: Session) -> Usage:
        return await self._threads.run(_usage, self._tree, place)

    # bytes

    async def read_file(self, place: Place, session: Session) -> bytes:
        opened = SourceFile(self._tree, place)
        try:
            size = (await self._threads.run(opened.open)).size
            return b"".join([piece async for piece in self._pieces(opened, 0, size)])
        finally:
            await self._threads.surely(opened.close)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        upload = await self.begin_write(place, WriteIntent(), session)
        try:
            return await self.finish_write(upload, data, Finish(len(data)), session)
        finally:
            await self.abort_write(upload, session)

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        opened = SourceFile(self._tree, place)
        try:
            await self._threads.run(opened.open, version)
            async for piece in self._pieces(opened, start, stop):
                yield piece
        finally:
            await self._threads.surely(opened.close)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        if place.is_root:
            raise IsADirectory
        file = self._new_file(place)
        try:
            await self._threads.run(file.open)
        except BaseException:
            await self._threads.surely(file.close)
            raise
        return LocalUpload(place, intent, file, self.options.chunk_bytes)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        ours = _ours(upload)
        with ours.piece(len(data)) as at:
            await self._threads.run(ours.file.write, at, data)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        ours = _ours(upload)
        base = ours.intent.base
        if base is None or not 0 <= start < stop <= base.size:
            raise contract_violation(f"the bytes {start} to {stop} are not in the base")
        with ours.piece(stop - start) as at:
            opened = SourceFile(self._tree, ours.place)
            try:
                await self._threads.run(opened.open_base, base.version)
                await self._copy(opened, start, stop, ours.file, at)
            finally:
                await self._threads.surely(opened.close)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        ours = _ours(upload)
        with ours.piece(len(tail)) as at:
            await self._threads.run(ours.file.write, at, tail)
        ours.must_be_whole(finish.size)
        base = ours.intent.base if finish.base_kept else None
        version = base.version if base else None
        info = await self._threads.run(
            ours.complete, mtime=finish.mtime, exclusive=ours.intent.exclusive, base=version
        )
        await self._end(ours)
        return info

    async def abort_write(self, upload: Upload, session: Session) -> None:
        await self._end(_ours(upload))

    @property
    def _tree(self) -> DirectoryTree:
        if self._root is None:
            raise RuntimeError("not started")
        return self._root.tree

    def _new_file(self, place: Place) -> UncommittedFile:
        return UncommittedFile(self._tree, place, self.options.file_mode)

    async def _pieces(self, opened: SourceFile, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            piece = await self._threads.run(opened.read, start, min(_READ_BYTES, stop - start))
            yield piece
            start += len(piece)

    async def _copy(self, opened: SourceFile, start: int, stop: int, file: UncommittedFile, at: int) -> None:
        """Copy bytes in pieces, so that it can be cancelled.

        Raises Changed: if the source has changed since it was opened.
        """
        while start < stop:
            count = min(PIECE_BYTES, stop - start)
            await self._threads.run(copy_range, opened.descriptor, start, count, file.descriptor, at)
            start, at = start + count, at + count
        await self._threads.run(opened.must_be_unchanged)

    async def _end(self, upload: LocalUpload) -> None:
        upload.end()
        await self._threads.surely(upload.file.close)

    async def _sweep(self) -> None:
        sweep = stale_uploads.StaleUploadSweep(self._tree)
        while await self._threads.run(sweep.step):
            pass


def _usage(tree: DirectoryTree, place: Place) -> Usage:
    with tree.nearest(place.child(b"any")) as directory:
        status = os.fstatvfs(directory)
    total = status.f_blocks * status.f_frsize
    return Usage(total, total - status.f_bavail * status.f_frsize)


def _ours(upload: Upload) -> LocalUpload:
    if not isinstance(upload, LocalUpload):
        raise TypeError("the upload is another backend's")
    return upload
