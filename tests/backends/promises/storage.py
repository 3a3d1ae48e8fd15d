"""A backend as the promises use it: paths are text, data is made up, what is left behind can be asked for."""

from __future__ import annotations

import functools
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

import pytest

from s3sftp.backends import CompleteBackend, Entry, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.errors import NotFound

Pages = AsyncGenerator[list[Entry], None]
Pieces = AsyncGenerator[bytes, None]


@functools.lru_cache(maxsize=64)
def data_of(size: int, seed: int = 0) -> bytes:
    """That many bytes, the same each time; another seed gives others."""
    return random.Random(f"{size}/{seed}").randbytes(size)


async def nothing_left() -> int:
    return 0


@dataclass(frozen=True)
class Storage:
    """An empty directory of a started backend, and what else the promises need to know of it."""

    backend: CompleteBackend
    top: Place = field(default_factory=Place)
    page_entries: int = 1000
    """How many entries a page of its listings has at most."""
    unfinished_uploads: Callable[[], Awaitable[int]] = nothing_left
    """Counts what writes have left behind, not through the backend."""
    session: Session = field(default_factory=lambda: Session("alice"))

    def place(self, path: str | bytes) -> Place:
        raw = path.encode() if isinstance(path, str) else path
        return Place(self.top.names + tuple(name for name in raw.split(b"/") if name))

    async def info(self, path: str | bytes) -> FileInfo:
        return await self.backend.file_info(self.place(path), self.session)

    async def exists(self, path: str | bytes) -> bool:
        try:
            await self.info(path)
        except NotFound:
            return False
        return True

    async def put(self, path: str | bytes, data: bytes = b"content") -> FileInfo:
        return await self.backend.write_file(self.place(path), data, self.session)

    async def whole(self, path: str | bytes) -> bytes:
        return await self.backend.read_file(self.place(path), self.session)

    def pieces(self, path: str | bytes, start: int, stop: int, version: str | None = None) -> Pieces:
        pieces = self.backend.read_file_range(self.place(path), start, stop, version, self.session)
        return cast(Pieces, pieces)

    async def part(self, path: str | bytes, start: int, stop: int, version: str | None = None) -> bytes:
        async with aclosing(self.pieces(path, start, stop, version)) as pieces:
            return b"".join([bytes(piece) async for piece in pieces])

    def pages(self, path: str | bytes = "") -> Pages:
        return cast(Pages, self.backend.list_dir(self.place(path), self.session))

    async def entries(self, path: str | bytes = "") -> list[Entry]:
        async with aclosing(self.pages(path)) as pages:
            return [entry async for page in pages for entry in page]

    async def names(self, path: str | bytes = "") -> list[str]:
        """The names in a directory, sorted, directories with a slash behind."""
        return sorted(
            entry.name.decode("utf-8", "surrogateescape") + "/" * entry.info.is_dir
            for entry in await self.entries(path)
        )

    async def mkdir(self, path: str | bytes) -> None:
        await self.backend.make_dir(self.place(path), self.session)

    async def rmdir(self, path: str | bytes) -> None:
        await self.backend.del_dir(self.place(path), self.session)

    async def remove(self, path: str | bytes) -> None:
        await self.backend.delete(self.place(path), self.session)

    async def rename(self, source: str | bytes, target: str | bytes, *, overwrite: bool = False) -> None:
        await self.backend.rename(self.place(source), self.place(target), self.session, overwrite=overwrite)

    async def copy(self, source: str | bytes, target: str | bytes, *, version: str | None = None) -> FileInfo:
        return await self.backend.copy(self.place(source), self.place(target), self.session, version=version)

    async def set_mtime(self, path: str | bytes, mtime: float) -> bool:
        return await self.backend.set_mtime(self.place(path), mtime, self.session)

    async def begin(
        self,
        path: str | bytes,
        *,
        exclusive: bool = False,
        base: FileInfo | None = None,
        mtime: float | None = None,
    ) -> Writing:
        """Begin a write."""
        intent = WriteIntent(exclusive, base, mtime)
        upload = await self.backend.begin_write(self.place(path), intent, self.session)
        return Writing(self, upload)


@dataclass
class Writing:
    """A write that has begun, and the bytes that the file will have."""

    storage: Storage
    upload: Upload
    sent: bytearray = field(default_factory=bytearray)

    async def chunk(self) -> None:
        """Append one chunk of made-up bytes."""
        data = data_of(self.upload.chunk_bytes, seed=len(self.sent))
        self.sent += data
        await self.storage.backend.write_chunk(self.upload, data, self.storage.session)

    async def keep(self, old: bytes, start: int, stop: int) -> None:
        """Append bytes of the file that is there, whose content is `old`."""
        self.sent += old[start:stop]
        await self.storage.backend.keep_range(self.upload, start, stop, self.storage.session)

    async def finish(
        self, tail: bytes = b"", *, mtime: float | None = None, base_kept: bool = True
    ) -> FileInfo:
        finish = Finish(len(self.sent) + len(tail), mtime, base_kept)
        info = await self.storage.backend.finish_write(self.upload, tail, finish, self.storage.session)
        self.sent += tail
        return info

    async def abort(self) -> None:
        await self.storage.backend.abort_write(self.upload, self.storage.session)

    async def fails_with(self, error: type[Exception], tail: bytes = b"tail") -> None:
        """Finish, which must not succeed, and abort as the contract says."""
        with pytest.raises(error):
            await self.finish(tail)
        await self.abort()
