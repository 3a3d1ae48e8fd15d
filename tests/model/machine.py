"""What happens: the operations of one user, somebody else's, and faults. Hypothesis chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from testbed.packets import APPEND, CREAT, EXCL, STATUS, TRUNC, R, Refused, W
from tests.model import expected
from tests.model.expected import Outcome, Writing, kind_of
from tests.model.step_runner import BLOCK, PATHS, Download, Player, Upload
from tests.model.world import Fault, Hits, World

MODES = {
    "create, truncate": W | CREAT | TRUNC,
    "read, create, truncate": R | W | CREAT | TRUNC,
    "create": W | CREAT,
    "present": W,
    "append": W | CREAT | APPEND,
    "exclusive": W | CREAT | EXCL,
}

paths = st.sampled_from(PATHS)
indexes = st.integers(0, 9)
sizes = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, 3.1])
faults = st.none() | st.none() | st.builds(Fault, st.integers(0, 3), st.integers(1, 4), st.booleans())


class SftpMachine(Player):
    """The rules; `Player` compares after each."""

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    @rule(path=paths, fault=faults)
    def remove(self, path: bytes, fault: Fault | None) -> None:
        """With her own uploads to the name, as on a disk; of a name that is only an upload, that alone."""
        outcomes = expected.removed(self.model, path)
        mine = [upload for upload in self.uploads if upload.writing.path == path]
        if mine and kind_of(self.model, path) == "nothing":
            outcomes.append(Outcome(ok=True, files=self.model))
        if self.change(self.alice.remove(path), outcomes, fault, path):
            for upload in mine:
                upload.writing.removed = True

    @rule(path=paths, fault=faults)
    def mkdir(self, path: bytes, fault: Fault | None) -> None:
        """Also in a directory that went with its last file: to whoever removed that, it is still there."""
        outcomes = expected.directory_made(self.model, path)
        if path.rpartition(b"/")[0] in self.emptied:
            outcomes += expected.directory_made_again(self.model, path)
        self.change(self.alice.mkdir(path), outcomes, fault, path)

    @rule(path=paths, fault=faults)
    def rmdir(self, path: bytes, fault: Fault | None) -> None:
        """Also of a directory that went with its last file: whoever removes a tree does not know that."""
        outcomes = expected.directory_removed(self.model, path)
        if path in self.emptied and kind_of(self.model, path) == "nothing":
            outcomes.append(Outcome(ok=True, files=self.model))
        self.change(self.alice.rmdir(path), outcomes, fault, path)

    @rule(source=paths, onto=paths, overwrite=st.booleans(), fault=faults)
    def rename(self, source: bytes, onto: bytes, overwrite: bool, fault: Fault | None) -> None:
        """What she writes there moves along; a name that is only an upload may be renamed, too."""
        rename = self.alice.posix_rename if overwrite else self.alice.rename
        outcomes = expected.renamed(self.model, source, onto, overwrite=overwrite)
        moving = [each.writing for each in self.uploads if expected.is_within(each.writing.path, source)]
        if any(writing.path == source for writing in moving):
            outcomes += expected.upload_renamed(self.model, source, onto, overwrite=overwrite)
        if self.change(rename(source, onto), outcomes, fault, source, onto) and source != onto:
            for writing in moving:
                writing.move(onto + writing.path[len(source) :])
                writing.saw(self.model.get(writing.path))

    # ── whole files ─────────────────────────────────────────────────────────────────────────────────

    @rule(path=paths, size=sizes)
    def put(self, path: bytes, size: float) -> None:
        data = self.new_data(size)
        self.change(self.alice.put(path, data, block=BLOCK), expected.put(self.model, path, data), None, path)

    @rule(path=paths, onto=paths, size=sizes)
    def put_and_rename_in_one_go(self, path: bytes, onto: bytes, size: float) -> None:
        """As clients do that do not wait for the answer to CLOSE; the rename must come after it, also when
        the file was refused because of a directory: that one is renamed then."""
        if any(expected.is_within(upload.writing.path, path) for upload in self.uploads):
            return
        data = self.new_data(size)
        puts = expected.put(self.model, path, data)
        if self.world.has_ghosts and (path in self.ghosts or expected.has_something_below(self.model, path)):
            puts.append(expected.refused(self.model))  # a filer may complete no upload onto a directory
        outcomes = [first for first in puts if not first.ok]  # by OPEN
        outcomes += [
            Outcome(first.ok and second.ok, second.files)
            for first in puts
            for second in expected.renamed(first.files, path, onto, overwrite=True)
        ]
        self.change(self._put_and_rename(path, onto, data), outcomes, None, path, onto)

    async def _put_and_rename(self, path: bytes, target: bytes, data: bytes) -> None:
        handle = await self.alice.open(path, W | CREAT | TRUNC)
        writes = self._sending_write(handle, 0, data)
        close = self.alice.sending_close(handle)
        rename = self.alice.sending_posix_rename(path, target)
        # also where the first has failed, the last may still change something
        for answer in [await each for each in [*writes, close, rename]]:
            answer.must_be(STATUS)

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
            self.alice.close(upload.handle), upload.writing.closed(self.model), fault, *upload.writing.names
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

    @precondition(lambda self: self.world.meddles and self.files)
    @rule(index=indexes, new=st.none() | sizes, at=st.floats(0, 1), size=sizes)
    def read_what_somebody_changes(self, index: int, new: float | None, at: float, size: float) -> None:
        path = self.files[index % len(self.files)]
        self.open_to_read(path, None)
        self.somebody_changes(path, new)
        self.read(len(self.downloads) - 1, at, size, None)
        self.close_reader(len(self.downloads) - 1)

    @precondition(lambda self: self.files)
    @rule(
        index=indexes, mode=st.sampled_from(["create", "present", "append"]), size=sizes,
        new=st.none() | st.just(-1.0) | sizes, end=st.none() | sizes,
    )  # fmt: skip
    def overwrite_the_start(
        self, index: int, mode: str, size: float, new: float | None, end: float | None
    ) -> None:
        """As scp does, which then sets the size; and maybe somebody else changes the file meanwhile."""
        path, before = self.files[index % len(self.files)], len(self.uploads)
        self.open_to_write(path, None, mode)
        if len(self.uploads) == before:  # refused, below what has become a file
            return
        self.write(len(self.uploads) - 1, "start", size, None)
        if self.world.meddles and new != -1.0:
            self.somebody_changes(path, new)
        if end is not None:
            self.set_size_of_open_file(len(self.uploads) - 1, end, None)
        self.close(len(self.uploads) - 1, None)

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
        self.somebody_changes(is_open[which % len(is_open)], size)

    def somebody_changes(self, path: bytes, size: float | None) -> None:
        """Replace the file of that name; without a size remove it."""
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
