"""The callbacks that a backend has, made safe to call: errors of the tree, answers of the right shape.

OSError           the error of the tree that means the same
StorageError      passes
CancelledError    passes, if it is the caller who is cancelled; else the call has failed
anything else     passes: the client gets a reference number, the log the rest
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from s3sftp.backends.capabilities import backend_name
from s3sftp.backends.complete.shapes import Shapes
from s3sftp.backends.contract import (
    Backend,
    Buffer,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)
from s3sftp.cancelling import is_meant_for_us
from s3sftp.errors import StorageFailure
from s3sftp.posix_errors import error_of


class Guarded:
    """One backend. Only what it has may be called."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend_name(backend)
        self._theirs: Any = backend  # its optional callbacks have no type: `examine` has looked at them
        self._shapes = Shapes(self.name)

    async def start(self) -> None:
        with understood():
            await self._theirs.start()

    async def stop(self) -> None:
        with understood():
            await self._theirs.stop()

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        with understood():
            return self._shapes.info("file_info", await self._theirs.file_info(place, session))

    async def list_dir(self, place: Place, session: Session) -> AsyncGenerator[Sequence[Entry], None]:
        with understood():
            async with aclosing(self._iterated("list_dir", place, session)) as pages:
                async for page in pages:
                    yield self._shapes.page("list_dir", page)

    async def make_dir(self, place: Place, session: Session) -> None:
        with understood():
            await self._theirs.make_dir(place, session)

    async def del_dir(self, place: Place, session: Session) -> None:
        with understood():
            await self._theirs.del_dir(place, session)

    async def delete(self, place: Place, session: Session) -> None:
        with understood():
            await self._theirs.delete(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        with understood():
            await self._theirs.rename(source, target, session, overwrite=overwrite)

    async def read_file(self, place: Place, session: Session) -> Buffer:
        with understood():
            return self._shapes.data("read_file", await self._theirs.read_file(place, session))

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        with understood():
            stored = await self._theirs.write_file(place, data, session)
        return await self.stored("write_file", stored, place, session)

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        at = start
        arguments = (place, start, stop, version, session)
        with understood():
            async with aclosing(self._iterated("read_file_range", *arguments)) as pieces:
                async for piece in pieces:
                    data = self._shapes.data("read_file_range", piece)
                    at += len(data)
                    if at > stop:
                        raise self._broken(f"read_file_range yielded more than the bytes {start} to {stop}")
                    yield data if isinstance(data, bytes) else bytes(data)  # theirs may change later
        if at < stop:
            raise self._broken(f"read_file_range ended at {at}, where {stop} was asked for")

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        with understood():
            begun = await self._theirs.begin_write(place, intent, session)
        return self._shapes.upload("begin_write", begun)

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        with understood():
            await self._theirs.write_chunk(upload, data, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        with understood():
            await self._theirs.keep_range(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> object:
        """What the backend says of what it has published: for `stored`."""
        with understood():
            return await self._theirs.finish_write(upload, tail, finish, session)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        with understood():
            await self._theirs.abort_write(upload, session)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        with understood():
            stored = await self._theirs.copy(source, target, session, version=version)
        return await self.stored("copy", stored, target, session)

    async def stored(self, method: str, stored: object, place: Place, session: Session) -> FileInfo:
        """What a method says is stored now; None: ask."""
        return await self.file_info(place, session) if stored is None else self._shapes.info(method, stored)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        with understood():
            return self._shapes.flag("set_mtime", await self._theirs.set_mtime(place, mtime, session))

    async def usage(self, place: Place, session: Session) -> Usage:
        with understood():
            return self._shapes.usage("usage", await self._theirs.usage(place, session))

    @property
    def first_chunk_bytes(self) -> int:
        size: int = self._theirs.first_chunk_bytes
        return size

    async def _iterated(self, method: str, *arguments: object) -> AsyncGenerator[Any, None]:
        """What an async generator yields; it is closed when nobody wants more."""
        items = getattr(self._theirs, method)(*arguments)
        if not hasattr(items, "__aiter__"):
            if hasattr(items, "close"):
                items.close()  # a coroutine that nobody awaits would complain
            self._shapes.refuse(method, items, "an async iterator")
        try:
            async for item in items:
                yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    def _broken(self, what: str) -> StorageFailure:
        return StorageFailure(detail=f"backend {self.name}: {what}")


@contextmanager
def understood() -> Iterator[None]:
    """Turn OSErrors into the errors of the tree that mean the same, a stray cancellation into a failure."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_meant_for_us():
            raise
        raise StorageFailure(detail="the call was cancelled by something of its own") from error
    except OSError as error:
        raise error_of(error) from error
