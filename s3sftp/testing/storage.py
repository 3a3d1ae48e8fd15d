"""A backend as the promises use it: paths are text, data is generated, and unfinished uploads are counted."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from s3sftp.backends import (
    Amount,
    Backend,
    CompleteBackend,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    WriteIntent,
)
from s3sftp.errors import NotFound

Pages = AsyncGenerator[list[Entry], None]
Pieces = AsyncGenerator[bytes, None]


@functools.lru_cache(maxsize=64)
def data_of(size: int, seed: int = 0) -> bytes:
    """Reproducible data of `size` bytes; another seed gives other data."""
    return random.Random(f"{size}/{seed}").randbytes(size)  # noqa: S311 — test data


_CLOCK_SECONDS = 2.0
"""By how much the time that a write returns may differ from the stored one: some stores tell a writer no more
than the time of their response, in whole seconds."""


def assert_same_info(told: FileInfo, there: FileInfo) -> None:
    """Fail if what an operation returned is not what is there. Times may differ by a moment."""
    if told.mtime is not None and there.mtime is not None:
        assert abs(told.mtime - there.mtime) <= _CLOCK_SECONDS
        told = replace(told, mtime=there.mtime)
    assert told == there


def assert_same(found: bytes | bytearray, expected: bytes | bytearray) -> None:
    """Fail with the first byte that differs: pytest would take minutes to compare megabytes line by line."""
    __tracebackhide__ = True
    if found == expected:
        return
    shorter = min(len(found), len(expected))
    at = next((at for at in range(shorter) if found[at] != expected[at]), shorter)
    raise AssertionError(
        f"expected {len(expected)} bytes and found {len(found)}, which differ from byte {at} on:"
        f" expected {_shown(expected, at)}, found {_shown(found, at)}"
    )


def _shown(data: bytes | bytearray, at: int) -> str:
    if at >= len(data):
        return "the end"
    return repr(bytes(data[at : at + 16])) + ("…" if at + 16 < len(data) else "")


@dataclass(frozen=True)
class Outside:
    """How others change the storage, behind the backend's back."""

    put: Callable[[Place, bytes], Awaitable[object]]
    """Store a whole file, and make its missing parents."""
    delete: Callable[[Place], Awaitable[object]]
    """Remove an existing file."""
    seen_after: float = 0.0
    """Seconds for which the backend may still answer from its memory of the earlier state."""

    @classmethod
    def through(cls, backend: Backend, session: Session | None = None, *, seen_after: float = 0.0) -> Outside:
        """Change it through another backend, already started, on the same storage."""
        who = session or Session("somebody else")
        return cls(
            lambda place, data: backend.write_file(place, data, who),
            lambda place: backend.delete(place, who),
            seen_after,
        )


@dataclass(frozen=True)
class Subject:
    """What `open_storage` may yield: the backend, and accesses around it that allow more tests."""

    backend: Backend
    outside: Outside | None = None
    unfinished_uploads: Callable[[], Awaitable[int]] | None = None
    """Counts what is left in the storage of writes that were neither finished nor aborted."""
    root: Place = field(default_factory=Place)
    """Where the tests begin: the root, in one of the storages if the backend routes to several."""


@dataclass(frozen=True)
class Storage:
    """An empty directory of a started backend, as one session sees it."""

    backend: CompleteBackend
    subject: Subject
    session: Session
    top: Place = field(default_factory=Place)
    unfinished_before: int = 0
    """What earlier tests had left, which this test is not blamed for."""

    async def unfinished_uploads(self) -> int:
        """The number of unfinished uploads since the test began; 0 where they cannot be counted."""
        counted = self.subject.unfinished_uploads
        return 0 if counted is None else max(0, await counted() - self.unfinished_before)

    @property
    def outside(self) -> Outside:
        """How others change the storage. Skips the test if there is no way."""
        if self.subject.outside is None:
            pytest.skip("nothing is said of how to change this storage behind the backend's back")
        return self.subject.outside

    async def outside_puts(self, path: str | bytes, data: bytes) -> None:
        """Store a file behind the backend's back. Returns when the backend must see it."""
        await self.outside.put(self.place(path), data)
        await asyncio.sleep(self.outside.seen_after)

    async def outside_deletes(self, path: str | bytes) -> None:
        """Remove a file behind the backend's back. Returns when the backend must see it."""
        await self.outside.delete(self.place(path))
        await asyncio.sleep(self.outside.seen_after)

    def seen_by(self, session: Session) -> Storage:
        """The same directory as another session sees it."""
        return replace(self, session=session)

    def place(self, path: str | bytes) -> Place:
        raw = path.encode() if isinstance(path, str) else path
        return Place(self.top.names + tuple(name for name in raw.split(b"/") if name), self.top.storage)

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
        return bytes(await self.backend.read_file(self.place(path), self.session))

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

    async def total(self, path: str | bytes = "") -> Amount:
        """What `total_below` counts in a directory."""
        return await self.backend.total_below(self.place(path), self.session)

    async def size(self, path: str | bytes) -> int | None:
        """What `size_of_file` says."""
        return await self.backend.size_of_file(self.place(path), self.session)

    async def names(self, path: str | bytes = "") -> list[str]:
        """The names in a directory, sorted, with a slash after those of directories."""
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
    ) -> StorageWrite:
        """Begin a write."""
        intent = WriteIntent(exclusive, base, mtime)
        upload = await self.backend.begin_write(self.place(path), intent, self.session)
        return StorageWrite(self, upload)


@dataclass
class StorageWrite:
    """A write that has begun, and the bytes that the file will have."""

    storage: Storage
    upload: Upload
    sent: bytearray = field(default_factory=bytearray)

    @property
    def fewest_kept(self) -> int:
        """The minimum number of bytes that may be kept in the middle of a file."""
        return self.keepable(self.upload.min_chunk_bytes + self.upload.keep_unit_bytes - 1)

    def keepable(self, size: int) -> int:
        """How many of `size` bytes may be kept."""
        return size - size % self.upload.keep_unit_bytes

    async def chunk(self) -> None:
        """Append one chunk of generated bytes."""
        data = data_of(self.upload.chunk_bytes, seed=len(self.sent))
        self.sent += data
        await self.storage.backend.write_chunk(self.upload, data, self.storage.session)

    async def keep_range(self, old: bytes, start: int, stop: int) -> None:
        """Append bytes of the present file, whose content is `old`."""
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
        """Finish, which must fail with `error`, and abort as the contract requires."""
        with pytest.raises(error):
            await self.finish(tail)
        await self.abort()
