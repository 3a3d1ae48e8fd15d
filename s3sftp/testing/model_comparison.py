"""Runs each operation on a directory of a storage and on its model, and compares the results."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    StorageError,
)
from s3sftp.testing.model import Content, Model, Path, above, is_below
from s3sftp.testing.storage import Storage, StorageWrite, assert_same

Work = Coroutine[Any, Any, object]
_NOTHING_BELOW = (NotFound, NotADirectory)


@dataclass(frozen=True)
class SeenVersion:
    """A version of a file that was looked up."""

    path: Path
    version: str | None
    content: Content


@dataclass
class BegunWrite:
    """A write in progress."""

    path: Path
    writing: StorageWrite
    exclusive: bool
    base: Content | None


class ComparedDirectory:
    """A directory and its model. Raises AssertionError where the storage differs from the model."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.model = Model()

    # ── lookups ─────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, path: Path, storage: Storage) -> SeenVersion | None:
        """Look up a path. The result, for a file, lets a later read insist on this version."""
        content = self.model.files.get(path)
        if content is not None:
            info = await storage.info(path)
            assert (info.is_dir, info.size) == (False, len(content.data))
            return SeenVersion(path, info.version, content)
        if self.model.is_dir(path):
            assert (await storage.info(path)).is_dir
        elif path in self.model.emptied:
            with suppress(NotFound):
                assert (await storage.info(path)).is_dir
        else:
            await fails(storage.info(path), *self._missing(path, NotFound))
        return None

    async def list_dir(self, path: Path, storage: Storage) -> None:
        """List a directory, with the sizes of its files."""
        if path in self.model.files:
            await fails(storage.entries(path), NotADirectory)
        elif path in self.model.emptied or self.model.is_dir(path):
            await self._list_directory(path, storage)
        else:
            await fails(storage.entries(path), *self._missing(path, NotFound))

    async def read(self, path: Path, start: int, stop: int, storage: Storage) -> None:
        """Read a file, whole and in part."""
        content = self.model.files.get(path)
        if content is None:
            await self._settle(path)
            await fails(storage.whole(path), *self._missing(path, IsADirectory))
            return
        assert_same(await storage.whole(path), content.data)
        start, stop = sorted(min(each, len(content.data)) for each in (start, stop))
        assert_same(await storage.part(path, start, stop), content.data[start:stop])

    async def read_seen(self, seen: SeenVersion) -> None:
        """Read exactly the version that was looked up."""
        work = self.storage.part(seen.path, 0, len(seen.content.data), seen.version)
        await self._of_version(work, seen.path, seen.content, seen.content.data)

    async def compare_all(self) -> None:
        """Compare everything, at the end."""
        places = {"", *self.model.made, *self.model.files}
        for path in sorted(places):
            await self.lookup(path, self.storage)
            await self.list_dir(path, self.storage)
            await self.read(path, 0, 1 << 30, self.storage)

    async def change(
        self, work: Callable[[], Work], storage: Storage, paths: tuple[Path, ...], *, looking: bool
    ) -> None:
        """Execute an operation and check its effect. With `looking`, look up the paths before it too, so that
        the backend has to forget what it remembers of them."""
        around = dict.fromkeys([*paths, *(each for path in paths for each in above(path))])
        for path in around if looking else ():
            await self.lookup(path, storage)
        await work()
        for path in around:
            await self.lookup(path, storage)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────

    async def put(self, path: Path, data: bytes, *, outside: bool = False) -> None:
        """Store a file; from `outside`, behind the backend's back."""
        if not await self._may_write(path):
            return
        if outside:
            await self.storage.outside_puts(path, data)
        else:
            info = await self.storage.put(path, data)
            assert info.size == len(data)
        self.model.put(path, Content(data))

    async def make_dir(self, path: Path) -> None:
        await self._settle(path)
        if self.model.exists(path):
            await fails(self.storage.mkdir(path), AlreadyExists)
        elif not self.model.is_below_a_file(path):
            await self.storage.mkdir(path)
            self.model.make_dir(path)

    async def del_dir(self, path: Path) -> None:
        await self._settle(path)
        if path in self.model.files:
            await fails(self.storage.rmdir(path), NotADirectory)
        elif self.model.below(path):
            await fails(self.storage.rmdir(path), NotEmpty)
        elif self.model.is_dir(path):
            await self.storage.rmdir(path)
            self.model.del_dir(path)
        else:
            await fails(self.storage.rmdir(path), *self._missing(path, NotFound))

    async def delete(self, path: Path, *, outside: bool = False) -> None:
        """Remove a file; from `outside`, behind the backend's back."""
        await self._settle(path)
        if path not in self.model.files:
            await fails(self.storage.remove(path), *self._missing(path, IsADirectory))
            return
        await (self.storage.outside_deletes(path) if outside else self.storage.remove(path))
        self.model.delete(path)

    async def rename(self, source: Path, target: Path, *, overwrite: bool) -> None:
        await self._settle(source)
        await self._settle(target)
        work = self.storage.rename(source, target, overwrite=overwrite)
        if not self.model.exists(source):
            await fails(work, *self._missing(source, NotFound))
        elif source == target:
            await may_fail(work, AlreadyExists, InvalidRequest)
        elif is_below(target, source):
            await fails(work, InvalidRequest, AlreadyExists)
        elif self.model.is_below_a_file(target):
            work.close()
        elif self.model.exists(target) and not (
            overwrite and source in self.model.files and target in self.model.files
        ):
            await fails(work, AlreadyExists)
        else:
            await work
            self.model.rename(source, target)

    async def copy(self, source: Path, target: Path) -> None:
        if source == target or not await self._may_write(target):
            return
        await self._settle(source)
        content = self.model.files.get(source)
        if content is None:
            await fails(self.storage.copy(source, target), *self._missing(source, IsADirectory))
        else:
            await self.storage.copy(source, target)
            self.model.put(target, content.again())

    async def set_mtime(self, path: Path, mtime: float) -> None:
        if (content := self.model.files.get(path)) is not None:
            done = await self.storage.set_mtime(path, mtime)
            self.model.put(path, content.again())
            assert not done or (await self.storage.info(path)).mtime == mtime

    # ── writing in chunks ───────────────────────────────────────────────────────────────────────────

    async def begin(self, path: Path, intent: str) -> BegunWrite | None:
        """Begin a write whose intent is `exclusive`, or `on base`."""
        exclusive = intent == "exclusive"
        if not await self._may_write(path) or (exclusive and path in self.model.files):
            return None
        base = self.model.files.get(path) if intent == "on base" else None
        info = None if base is None else await self.storage.info(path)
        writing = await self.storage.begin(path, exclusive=exclusive, base=info)
        return BegunWrite(path, writing, exclusive, base)

    async def finish(self, begun: BegunWrite, tail: bytes) -> None:
        """Publish, or be refused as the model requires; then the write is aborted."""
        if not await self._may_write(begun.path):
            await begun.writing.abort()
            return
        data = bytes(begun.writing.sent) + tail
        present = self.model.files.get(begun.path)
        try:
            if begun.exclusive and present is not None:
                await fails(begun.writing.finish(tail), AlreadyExists)
            elif begun.base is None or await self._of_version(
                begun.writing.finish(tail), begun.path, begun.base
            ):
                if begun.base is None:
                    await begun.writing.finish(tail)
                self.model.put(begun.path, Content(data))
                assert (await self.storage.info(begun.path)).size == len(data)
        finally:
            await begun.writing.abort()

    async def go_on(self, path: Path, tail: bytes) -> None:
        """Keep all of a file, and append to it."""
        old = self.model.files.get(path)
        if old is None:
            return
        writing = await self.storage.begin(path, base=await self.storage.info(path))
        try:
            kept = writing.keepable(len(old.data))
            if kept >= max(1, writing.upload.min_chunk_bytes):
                await writing.keep_range(old.data, 0, kept)
                await writing.finish(old.data[kept:] + tail)
                self.model.put(path, Content(old.data + tail))
        finally:
            await writing.abort()

    # ── helpers ─────────────────────────────────────────────────────────────────────────────────────

    async def _list_directory(self, path: Path, storage: Storage) -> None:
        start = f"{path}/" if path else ""
        try:
            found = await storage.names(path)
        except NotFound:
            assert path in self.model.emptied
            return
        may_be = {each.removeprefix(start) + "/" for each in self.model.emptied if is_below(each, path)}
        expected = self.model.names(path)
        assert [name for name in found if name in expected or name not in may_be] == expected

    async def _of_version(self, work: Work, path: Path, old: Content, expected: object = None) -> bool:
        """Run an operation that insists on an old version: it succeeds if that is still there, and raises
        Changed if not."""
        present = self.model.files.get(path)
        if present is None:
            await fails(work, Changed, *self._missing(path, IsADirectory))
            return False
        if present.data != old.data:
            await fails(work, Changed)
            return False
        if present.number != old.number:  # the same data, stored again
            return await may_fail(work, Changed)
        outcome = await work
        assert expected is None or outcome == expected
        return True

    async def _may_write(self, path: Path) -> bool:
        """Whether the contract determines what happens when a file is written there."""
        await self._settle(path)
        return not (self.model.is_below_a_file(path) or self.model.is_dir(path))

    async def _settle(self, path: Path) -> None:
        """Remove the directories at a path and below it that may exist or not."""
        unknown = {each for each in self.model.emptied if each == path or is_below(each, path)}
        for each in sorted(unknown, reverse=True):
            with suppress(NotFound):
                await self.storage.rmdir(each)
            self.model.emptied.discard(each)

    def _missing(self, path: Path, of_a_directory: type[StorageError]) -> tuple[type[StorageError], ...]:
        """The errors that are right where there is no file."""
        if self.model.is_below_a_file(path):
            return _NOTHING_BELOW
        return (of_a_directory if self.model.is_dir(path) else NotFound,)


async def fails(work: Work, *errors: type[StorageError]) -> None:
    """Require that the operation fails with one of these errors."""
    with pytest.raises(errors):
        await work


async def may_fail(work: Work, *errors: type[StorageError]) -> bool:
    """Allow the operation to fail with one of these errors only. Returns whether it succeeded."""
    try:
        await work
    except errors:
        return False
    return True
