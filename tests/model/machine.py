"""What happens: operations of one user, comparisons through another's session, meddling and faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.backends.promises.storage import data_of
from tests.model import expected
from tests.model.expected import Files, Outcome, Writing, is_half_renamed, kind_of
from tests.model.world import Fault, Hits, World
from tests.sftp.packets import (
    APPEND,
    CREAT,
    EXCL,
    NO_SUCH_FILE,
    STATUS,
    TRUNC,
    Attributes,
    R,
    Refused,
    Reply,
    W,
)
from tests.sftp.wire import Wire, wire

T = TypeVar("T")

PATHS = [b"a", b"ab", b"a.x", b"d", b"d/a", b"d/ab", b"d/d", b"d/d/a", b"dd", b"dd/a", b"a/b"]
MODES = {
    "create, truncate": W | CREAT | TRUNC,
    "read, create, truncate": R | W | CREAT | TRUNC,
    "create": W | CREAT,
    "present": W,
    "append": W | CREAT | APPEND,
    "exclusive": W | CREAT | EXCL,
}
BLOCK = 100_000
_examples = count()

paths = st.sampled_from(PATHS)
indexes = st.integers(0, 9)
sizes = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, 3.1])
faults = st.none() | st.none() | st.builds(Fault, st.integers(0, 3), st.integers(1, 4), st.booleans())


@dataclass
class Upload:
    """A file that the client writes, and what is expected of it."""

    handle: bytes
    writing: Writing


@dataclass
class Download:
    """A file that the client reads."""

    handle: bytes
    path: bytes
    content: bytes
    touched: bool = False
    """Its name has been written, moved or removed since."""


class SftpMachine(RuleBasedStateMachine):
    """After each step the keys, what a listing shows and what files hold are what the dictionary says."""

    world: World
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.model: Files = {}
        self.uploads: list[Upload] = []
        self.downloads: list[Download] = []
        self.ghosts: set[bytes] = set()
        """Directories that were there because of something in them."""
        self.seeds = count(1)
        self.world.server.prefix = f"example-{next(_examples)}/"
        self.run(self._connect())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(60):
                return await work

        return self.runner.run(limited())

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    @rule(path=paths, fault=faults)
    def remove(self, path: bytes, fault: Fault | None) -> None:
        self.change(self.alice.remove(path), expected.removed(self.model, path), fault, path)

    @rule(path=paths, fault=faults)
    def mkdir(self, path: bytes, fault: Fault | None) -> None:
        self.change(self.alice.mkdir(path), expected.directory_made(self.model, path), fault, path)

    @rule(path=paths, fault=faults)
    def rmdir(self, path: bytes, fault: Fault | None) -> None:
        self.change(self.alice.rmdir(path), expected.directory_removed(self.model, path), fault, path)

    @rule(source=paths, onto=paths, overwrite=st.booleans(), fault=faults)
    def rename(self, source: bytes, onto: bytes, overwrite: bool, fault: Fault | None) -> None:
        rename = self.alice.posix_rename if overwrite else self.alice.rename
        outcomes = expected.renamed(self.model, source, onto, overwrite=overwrite)
        if any(upload.writing.path == source for upload in self.uploads):
            outcomes = [expected.refused(self.model)]
        self.change(rename(source, onto), outcomes, fault, source, onto)

    # ── whole files ─────────────────────────────────────────────────────────────────────────────────

    @rule(path=paths, size=sizes)
    def put(self, path: bytes, size: float) -> None:
        data = self.new_data(size)
        self.change(self.alice.put(path, data, block=BLOCK), expected.put(self.model, path, data), None, path)

    @rule(path=paths, onto=paths, size=sizes)
    def put_and_rename_in_one_go(self, path: bytes, onto: bytes, size: float) -> None:
        """As clients do that do not wait for the answer to CLOSE; the rename must come after it."""
        if any(upload.writing.path == path for upload in self.uploads):
            return
        data = self.new_data(size)
        outcomes = [
            Outcome(second.ok, second.files)
            for first in expected.put(self.model, path, data)
            for second in (expected.renamed(first.files, path, onto, overwrite=True) if first.ok else [first])
        ]
        self.change(self._put_and_rename(path, onto, data), outcomes, None, path, onto)

    async def _put_and_rename(self, path: bytes, target: bytes, data: bytes) -> None:
        handle = await self.alice.open(path, W | CREAT | TRUNC)
        writes = self._sending_write(handle, 0, data)
        close = self.alice.sending_close(handle)
        rename = self.alice.sending_posix_rename(path, target)
        for write in writes:
            (await write).must_be(STATUS)
        (await close).must_be(STATUS)
        (await rename).must_be(STATUS)

    @precondition(lambda self: not self.uploads)
    @rule(path=paths, size=sizes, fault=faults)
    def set_size(self, path: bytes, size: float, fault: Fault | None) -> None:
        length = int(size * self.world.unit)
        outcomes = expected.resized(self.model, path, length)
        self.change(self.alice.set_size(path, length), outcomes, fault, path)

    # ── open files ──────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.uploads) < 3)
    @rule(path=paths, present=st.none() | indexes, mode=st.sampled_from(sorted(MODES)))
    def open_to_write(self, path: bytes, present: int | None, mode: str) -> None:
        path = self.present_or(path, present)
        flags = MODES[mode]
        there = kind_of(self.model, path)
        handle = self.run(self._handle_or_refusal(path, flags))
        if handle is None:
            taken = bool(flags & EXCL) and there != "nothing"
            missing = not flags & CREAT and there != "file"
            odd = path in self.ghosts or there == "directory" or expected.is_below_a_file(self.model, path)
            assert taken or missing or odd
            return
        assert not (flags & EXCL and there == "file")
        assert flags & CREAT or there == "file"
        writing = Writing(path, bool(flags & EXCL), bool(flags & TRUNC), bool(flags & APPEND))
        writing.saw(self.model.get(path))
        self.uploads.append(Upload(handle, writing))

    @precondition(lambda self: self.uploads)
    @rule(
        which=indexes, where=st.sampled_from(["next", "next", "next", "start", "within", "beyond"]),
        size=sizes, fault=faults,
    )  # fmt: skip
    def write(self, which: int, where: str, size: float, fault: Fault | None) -> None:
        upload = self.uploads[which % len(self.uploads)]
        length = upload.writing.length
        offset = {"next": length, "start": 0, "within": length // 2, "beyond": length + 7}[where]
        data = self.new_data(size)
        upload.writing.steps.append((offset, data))
        self.use(upload, self._write(upload.handle, offset, data), fault)

    @precondition(lambda self: self.uploads)
    @rule(which=indexes, size=sizes, fault=faults)
    def set_size_of_open_file(self, which: int, size: float, fault: Fault | None) -> None:
        upload = self.uploads[which % len(self.uploads)]
        length = int(size * self.world.unit)
        upload.writing.steps.append(length)
        self.use(upload, self.alice.truncate(upload.handle, length), fault)

    @precondition(lambda self: self.uploads)
    @rule(which=indexes, fault=faults)
    def close(self, which: int, fault: Fault | None) -> None:
        upload = self.uploads.pop(which % len(self.uploads))
        self.change(
            self.alice.close(upload.handle), upload.writing.closed(self.model), fault, upload.writing.path
        )

    @rule(path=paths, present=st.none() | indexes)
    def open_to_read(self, path: bytes, present: int | None) -> None:
        path = self.present_or(path, present)
        handle = self.run(self._handle_or_refusal(path, R))
        assert (handle is not None) == (kind_of(self.model, path) == "file")
        if handle is not None:
            self.downloads.append(Download(handle, path, self.model[path]))

    @precondition(lambda self: self.downloads)
    @rule(which=indexes, at=st.floats(0, 1), size=sizes, fault=faults)
    def read(self, which: int, at: float, size: float, fault: Fault | None) -> None:
        """The version that was opened, or an error; never another's bytes."""
        download = self.downloads[which % len(self.downloads)]
        offset = int(at * len(download.content))
        length = min(int(size * self.world.unit), BLOCK)
        data, hits = self.run(self._read(download.handle, offset, length, fault))
        if data is None:
            assert download.touched or hits.count, "a read failed for no reason"
        else:
            assert data == download.content[offset : offset + length]

    async def _read(
        self, handle: bytes, offset: int, length: int, fault: Fault | None
    ) -> tuple[bytes | None, Hits]:
        async with self.world.failing(fault) as hits:
            try:
                return await self.alice.read(handle, offset, length), hits
            except Refused:
                return None, hits

    @precondition(lambda self: self.downloads)
    @rule(which=indexes)
    def close_reader(self, which: int) -> None:
        self.run(self.alice.close(self.downloads.pop(which % len(self.downloads)).handle))

    @precondition(lambda self: self.uploads)
    @rule()
    def vanish(self) -> None:
        """The client is gone from one moment to the next: nothing of what it wrote was ever there."""
        self.uploads.clear()
        self.downloads.clear()
        self.run(self._vanish())

    # ── somebody else ───────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.world.meddles)
    @rule(path=paths, size=sizes)
    def somebody_else_puts(self, path: bytes, size: float) -> None:
        data = self.new_data(size)
        self.run(self.world.put(path, data))
        after = self.model | {path: data}
        self.becomes(expected.unmarked(after) if self.world.has_ghosts else after)

    @precondition(lambda self: self.world.meddles and (self.uploads or self.downloads))
    @rule(which=indexes, size=st.none() | sizes)
    def somebody_else_changes_what_is_open(self, which: int, size: float | None) -> None:
        is_open = [each.writing.path for each in self.uploads] + [each.path for each in self.downloads]
        path = is_open[which % len(is_open)]
        if size is None:
            self.somebody_else_deletes(path)
        else:
            self.somebody_else_puts(path, size)

    @precondition(lambda self: self.world.meddles)
    @rule(path=paths)
    def somebody_else_deletes(self, path: bytes) -> None:
        if self.world.has_ghosts and path not in self.model:
            return  # a filer removes the empty directory of that name
        self.run(self.world.delete(path))
        self.becomes({key: data for key, data in self.model.items() if key != path})

    # ── comparisons ─────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def all_views_agree(self) -> None:
        """What is listed, what is said of each name, what files hold: as the dictionary has it."""
        self.run(self._compare_listing())
        self.run(self._compare_stats())
        self.run(self._compare_contents())

    def teardown(self) -> None:
        self.run(self._disconnect())
        assert self.run(self.world.files()) == self.model
        assert self.run(self.world.unfinished_uploads()) == 0

    async def _compare_listing(self) -> None:
        found: dict[bytes, int | None] = {}
        todo = [b""]
        while todo:
            path = todo.pop()
            for name, attributes in (await self._list(path)).items():
                below = path + b"/" + name if path else name
                found[below] = None if attributes.is_dir else attributes.size
                if attributes.is_dir:
                    todo.append(below)
        right = expected.tree(self.model)
        ghosts = dict.fromkeys(found.keys() & self.ghosts - right.keys())
        assert found == right | ghosts

    async def _list(self, path: bytes) -> dict[bytes, Attributes]:
        try:
            return await self.bob.list(b"/" + path)
        except Refused as refused:
            if path in self.ghosts and refused.code == NO_SUCH_FILE:
                return {}
            raise

    async def _compare_stats(self) -> None:
        answers = await asyncio.gather(*(self._stat(path) for path in PATHS))
        for path, answer in zip(PATHS, answers, strict=True):
            match kind_of(self.model, path):
                case "file":
                    assert isinstance(answer, Attributes), path
                    assert (answer.is_dir, answer.size) == (False, len(self.model[path])), path
                case "directory":
                    assert isinstance(answer, Attributes), path
                    assert answer.is_dir, path
                case _ if path in self.ghosts:
                    assert answer == NO_SUCH_FILE or getattr(answer, "is_dir", False), path
                case _:
                    assert answer == NO_SUCH_FILE, path

    async def _stat(self, path: bytes) -> Attributes | int:
        try:
            return await self.bob.stat(path)
        except Refused as refused:
            return refused.code

    async def _compare_contents(self) -> None:
        files = [path for path, size in expected.tree(self.model).items() if size is not None]
        contents = await asyncio.gather(*(self.bob.get(path, block=BLOCK) for path in files))
        assert contents == [self.model[path] for path in files]

    # ── how a step is made and judged ───────────────────────────────────────────────────────────────

    def change(
        self,
        work: Coroutine[Any, Any, None],
        outcomes: list[Outcome],
        fault: Fault | None,
        *paths: bytes,
    ) -> None:
        """Do something that may change what is stored: it must come to one of the outcomes."""
        if self.world.has_ghosts:
            self.ghosts.update(above for path in paths for above in expected.directories_above(path))
        outcomes = self._with_ghosts(outcomes, paths)
        ok, hits, files = self.run(self._done(work, fault))
        now = Outcome(ok, files)
        for upload in self.uploads:
            upload.writing.suspect |= hits.count > 0
        if now not in outcomes and not (hits.count and not ok and self._is_bearable(files, outcomes)):
            note(f"before {shown(self.model)}")
            note(f"now {ok} {shown(files)}")
            note(f"right {[(each.ok, shown(each.files)) for each in outcomes]}")
            self.model = files
            raise AssertionError("the operation came to something else than it may")
        self.becomes(files)

    def _with_ghosts(self, outcomes: list[Outcome], paths: tuple[bytes, ...]) -> list[Outcome]:
        """On a filer a directory that should be gone may be in the way, or may be removed; and a file that
        takes a directory's name takes its marker's place."""
        if not self.world.has_ghosts:
            return outcomes
        outcomes = outcomes + [Outcome(each.ok, expected.unmarked(each.files)) for each in outcomes]
        if not any(path in self.ghosts and kind_of(self.model, path) == "nothing" for path in paths):
            return outcomes
        return [*outcomes, expected.refused(self.model), Outcome(ok=True, files=self.model)]

    def _is_bearable(self, files: Files, outcomes: list[Outcome]) -> bool:
        """After a fault a failed operation has done nothing; on a network it may have been done, or half."""
        if files == self.model:
            return True
        afters = [each.files for each in outcomes if each.ok]
        return self.world.loses_replies and any(
            files == after or is_half_renamed(self.model, after, files) for after in afters
        )

    async def _done(self, work: Coroutine[Any, Any, None], fault: Fault | None) -> tuple[bool, Hits, Files]:
        async with self.world.failing(fault) as hits:
            ok = await succeeds(work)
        return ok, hits, await self.world.files()

    def use(self, upload: Upload, work: Coroutine[Any, Any, None], fault: Fault | None) -> None:
        """Do something to a file that is being written: nothing stored may change."""
        ok, hits, files = self.run(self._done(work, fault))
        upload.writing.failed |= not ok
        for each in self.uploads:
            each.writing.suspect |= hits.count > 0
        assert files == self.model

    def becomes(self, files: Files) -> None:
        changed = {key for key in self.model.keys() | files.keys() if self.model.get(key) != files.get(key)}
        for download in self.downloads:
            # the same bytes written again are another version
            download.touched = True if download.path in changed else download.touched
        if self.world.has_ghosts:
            self.ghosts |= {above for key in self.model for above in expected.directories_above(key)}
        self.model = files
        for upload in self.uploads:
            upload.writing.saw(files.get(upload.writing.path))

    def present_or(self, path: bytes, index: int | None) -> bytes:
        """One of the files that are there, if there are any and an index is given."""
        present = [key for key in sorted(self.model) if not key.endswith(b"/")]
        return path if index is None or not present else present[index % len(present)]

    def new_data(self, size: float) -> bytes:
        return data_of(int(size * self.world.unit), next(self.seeds))

    async def _handle_or_refusal(self, path: bytes, flags: int) -> bytes | None:
        try:
            return await self.alice.open(path, flags)
        except Refused:
            return None

    def _sending_write(self, handle: bytes, offset: int, data: bytes) -> list[asyncio.Future[Reply]]:
        """All blocks are in flight at once."""
        starts = range(0, len(data), BLOCK) or [0]
        return [self.alice.sending_write(handle, offset + at, data[at : at + BLOCK]) for at in starts]

    async def _write(self, handle: bytes, offset: int, data: bytes) -> None:
        for reply in await asyncio.gather(*self._sending_write(handle, offset, data)):
            reply.must_be(STATUS)

    async def _connect(self) -> None:
        self._stack = AsyncExitStack()
        self.bob = await self._session("bob")
        self.alice = await self._session("alice")

    async def _session(self, user: str) -> Wire:
        connection = await self._stack.enter_async_context(await self.world.server.connect(user))
        return await self._stack.enter_async_context(wire(connection))

    async def _vanish(self) -> None:
        self.alice.connection.abort()
        await self.alice.ended()
        await self.world.server.until_nothing_is_open()
        self.alice = await self._session("alice")

    async def _disconnect(self) -> None:
        await self._stack.aclose()
        await self.world.server.lets_everything_go()


async def succeeds(work: Awaitable[None]) -> bool:
    try:
        await work
    except Refused:
        return False
    return True


def shown(files: Files) -> dict[str, str]:
    """For the report of a failure: sizes and the first bytes."""
    return {key.decode(): f"{len(data)}:{data[:4].hex()}" for key, data in sorted(files.items())}


@contextmanager
def playing(world: AbstractAsyncContextManager[World]) -> Iterator[type[SftpMachine]]:
    """A machine that plays in that world, one example after the other."""
    with asyncio.Runner() as runner:
        entered = runner.run(_entered(world))
        try:
            yield type("SftpMachineInWorld", (SftpMachine,), {"world": entered, "runner": runner})
        finally:
            runner.run(_left(world))


async def _entered(world: AbstractAsyncContextManager[World]) -> World:
    return await world.__aenter__()


async def _left(world: AbstractAsyncContextManager[World]) -> None:
    await world.__aexit__(None, None, None)
