"""How a step is made and judged: the dictionary, two sessions, and the comparisons after each step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, invariant

from s3sftp.testing.storage import data_of
from testbed.packets import NO_SUCH_FILE, STATUS, Attributes, Refused, Reply
from testbed.raw_client import RawSftpClient, wire
from tests.model import expected
from tests.model.expected import Files, Outcome, Writing, is_half_renamed, kind_of
from tests.model.world import Fault, Hits, World

T = TypeVar("T")

PATHS = [b"a", b"ab", b"a.x", b"d", b"d/a", b"d/ab", b"d/d", b"d/d/a", b"dd", b"dd/a", b"a/b"]
BLOCK = 100_000
_examples = count()


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


class Player(RuleBasedStateMachine):
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
        self.emptied: set[bytes] = set()
        """Directories in which she may have removed the last file."""
        self.seeds = count(1)
        self.world.server.prefix = f"example-{next(_examples)}/"
        self.run(self._connect())
        for path, size in ((b"a", 2.5), (b"ab", 0.5), (b"d/a", 1.0), (b"d/d/a", 0.1)):
            data = self.new_data(size)
            self.run(self.world.put(path, data))
            self.becomes(self.model | {path: data})

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(60):
                return await work

        return self.runner.run(limited())

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
    ) -> bool:
        """Do something that may change what is stored: it must come to one of the outcomes. Whether it was
        done."""
        above = {directory for path in paths for directory in expected.directories_above(path)}
        self.emptied |= above
        if self.world.has_ghosts:
            self.ghosts |= above
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
        return ok

    def _with_ghosts(self, outcomes: list[Outcome], paths: tuple[bytes, ...]) -> list[Outcome]:
        """On a filer a directory that should be gone may be in the way, or may be removed; a file that takes
        a directory's name takes its marker's place, and may be refused if it is large."""
        if not self.world.has_ghosts:
            return outcomes
        more = [Outcome(each.ok, expected.unmarked(each.files)) for each in outcomes]
        for path in paths:
            if path in self.ghosts or expected.has_something_below(self.model, path):
                more.append(expected.refused(self.model))
                if kind_of(self.model, path) == "nothing":
                    more.append(Outcome(ok=True, files=self.model))
        return outcomes + more

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
        return path if index is None or not self.files else self.files[index % len(self.files)]

    @property
    def files(self) -> list[bytes]:
        """The files that are there."""
        return [key for key in sorted(self.model) if not key.endswith(b"/")]

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

    async def _session(self, user: str) -> RawSftpClient:
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
