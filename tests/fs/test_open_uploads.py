"""What becomes of a name while uploads to it are open: stored, renamed, removed, by whom ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from s3sftp.backends import FileInfo, Finish, Place, Session, Upload
from s3sftp.backends.contract import Buffer
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import AlreadyExists, Busy, Changed, NotADirectory, NotFound, StorageFailure
from s3sftp.events import EventHub
from s3sftp.fs import FileOptions, FileSystem, Mounts, NewAttributes, OpenStorage, VirtualPath, WriteMode
from s3sftp.fs.write.shared_tables import CHANGE_ROWS
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from tests.events.faulty_subscribers import Ear, until, volume_with
from tests.support.logs import capture_events

NEW = WriteMode(truncate=True)
OPEN_ONLY = WriteMode(create=False)
CREATE = WriteMode()
KIB, MIB = 1 << 10, 1 << 20


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


def sessions(backend: MemoryBackend, *users: str, **options: int) -> list[FileSystem]:
    """Sessions on one volume. All see the same files."""
    volume = OpenStorage(backend, FileOptions(**options))  # type: ignore[arg-type]
    return [FileSystem(volume, Mounts.of(""), Session(user)) for user in users]


async def put(files: FileSystem, name: str, data: bytes) -> None:
    writer = await files.open_writer(path(name), NEW)
    await writer.write(0, data)
    await writer.close()


async def begun(files: FileSystem, name: str, data: bytes, mode: WriteMode = NEW):  # type: ignore[no-untyped-def]
    """An upload that is left open."""
    writer = await files.open_writer(path(name), mode)
    await writer.write(0, data)
    return writer


async def size(files: FileSystem, name: str) -> int:
    return (await files.stat(path(name))).size


async def is_there(files: FileSystem, name: str) -> bool:
    try:
        await files.stat(path(name))
    except NotFound:
        return False
    return True


async def nothing_is_left(files: FileSystem, backend: MemoryBackend) -> None:
    await files.shared.wait_for_adopted()
    assert backend.open_uploads == 0
    assert len(files.shared.writers) == 0
    assert files.shared.budget.used == 0


# ── what is stored is what is shown ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["the same session", "another session", "another user"])
@pytest.mark.parametrize("which", ["older", "newer"])
async def test_after_close_stat_shows_what_is_stored_whatever_is_open(by: str, which: str) -> None:
    backend = MemoryBackend()
    mine, others, stranger = sessions(backend, "alice", "alice", "bob")
    closing = {"the same session": mine, "another session": others, "another user": stranger}[by]
    if which == "older":
        left = await begun(mine, "/f", bytes(5120))
        stored = await begun(closing, "/f", bytes(100))
    else:
        stored = await begun(closing, "/f", bytes(100))
        left = await begun(mine, "/f", bytes(5120))
    await stored.close()
    assert await size(mine, "/f") == await size(others, "/f") == await size(stranger, "/f") == 100
    await left.write(5120, bytes(100))
    assert await size(mine, "/f") == 100
    await mine.rename(path("/f"), path("/g"), overwrite=False)
    assert await size(mine, "/g") == 100
    assert not await is_there(mine, "/f")
    await left.abort()
    await nothing_is_left(mine, backend)
    assert {name: len(data) for name, data in backend.contents().items()} == {"g": 100}


async def test_an_upload_that_is_the_latest_shows_its_size_so_far_over_a_stored_file() -> None:
    (files,) = sessions(MemoryBackend({"f": bytes(7)}), "alice")
    upload = await begun(files, "/f", bytes(100))
    assert await size(files, "/f") == 100
    await upload.abort()
    assert await size(files, "/f") == 7


@pytest.mark.parametrize("mode", [CREATE, WriteMode(append=True)], ids=["plain", "append"])
async def test_nobody_goes_on_with_what_another_session_is_sending(mode: WriteMode) -> None:
    """STAT shows its size to all sessions of the user, but its bytes are not there to be added to."""
    backend = MemoryBackend()
    first, second, bobs = sessions(backend, "alice", "alice", "bob")
    upload = await begun(first, "/f", b"first")
    assert await size(second, "/f") == 5
    late = await second.open_writer(path("/f"), mode)
    with pytest.raises(Changed, match="another session of yours is writing this file"):
        await late.write(5, b" and the rest")
    await late.abort()
    assert not await is_there(bobs, "/f")
    await upload.close()
    late = await second.open_writer(path("/f"), mode)
    await late.write(5, b" and the rest")
    await late.close()
    assert backend.objects[b"f"].data == b"first and the rest"


async def test_a_close_that_failed_hides_no_upload() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "finish_write":
            raise StorageFailure("no")

    backend = MemoryBackend(fail=fail)
    (files,) = sessions(backend, "alice")
    one, two = await begun(files, "/f", bytes(1)), await begun(files, "/f", bytes(2))
    with pytest.raises(StorageFailure):
        await two.close()
    assert await size(files, "/f") == 1
    await one.abort()


async def test_what_another_worker_has_stored_is_shown_although_an_upload_is_open_here() -> None:
    backend = MemoryBackend()
    memory = create_shared_file(CHANGE_ROWS, 2)
    here, there = (
        FileSystem(
            OpenStorage(backend, FileOptions(), changes=SharedCounters.shared(memory, 2, column)),
            Mounts.of(""),
            Session("alice"),
        )
        for column in range(2)
    )
    left = await begun(here, "/f", bytes(5120))
    await put(there, "/f", bytes(100))
    assert await size(here, "/f") == 100
    await there.remove(path("/f"))
    await put(there, "/other", b"")
    # nothing is stored there, so the upload is the file again: to this worker it is the only one
    assert await size(here, "/f") == 5120
    await left.close()
    assert await size(there, "/f") == 5120


# ── only open ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [OPEN_ONLY, CREATE], ids=["W", "W|CREAT"])
async def test_a_file_that_is_only_open_hides_and_blocks_nothing(mode: WriteMode) -> None:
    backend = MemoryBackend({"f": b"one"})
    (files,) = sessions(backend, "alice")
    probe = await files.open_writer(path("/f"), mode, readable=True)
    assert await size(files, "/f") == 3
    backend.put("f", b"by another machine")
    assert await size(files, "/f") == 18
    await files.set_attributes(path("/f"), NewAttributes(mtime=1000.0))
    assert backend.objects[b"f"].mtime == 1000
    await files.rename(path("/f"), path("/g"), overwrite=False)
    await files.rename(path("/g"), path("/f"), overwrite=False)
    await files.remove(path("/f"))
    assert not await is_there(files, "/f")
    await probe.close()
    assert backend.contents() == {}
    await nothing_is_left(files, backend)


async def test_a_file_that_is_only_open_is_left_as_it_is_by_close_and_by_the_end_of_the_session() -> None:
    backend = MemoryBackend({"f": b"one", "g": b"two"})
    (files,) = sessions(backend, "alice")
    before = dict(backend.objects)
    await (await files.open_writer(path("/f"), CREATE, readable=True)).close()
    await (await files.open_writer(path("/g"), CREATE, readable=True)).abort()
    await (await files.open_writer(path("/new"), CREATE, readable=True)).abort()
    assert backend.objects == before


async def test_an_open_file_that_will_be_made_by_close_is_shown_empty() -> None:
    backend = MemoryBackend()
    (files,) = sessions(backend, "alice")
    made = await files.open_writer(path("/new"), CREATE)
    assert await size(files, "/new") == 0
    await files.set_attributes(path("/new"), NewAttributes(mtime=1000.0))
    await made.close()
    assert backend.objects[b"new"].mtime == 1000
    assert backend.contents() == {"new": b""}


# ── removing ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["the same session", "another session"])
async def test_remove_of_what_is_only_an_upload_gives_it_up(by: str) -> None:
    backend = MemoryBackend(chunk_bytes=KIB, parallel_chunks=2)
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/f", bytes(10 * KIB))
    await (mine if by == "the same session" else others).remove(path("/f"))
    assert not await is_there(mine, "/f")
    with pytest.raises(NotFound):
        await mine.remove(path("/f"))
    await nothing_is_left(mine, backend)
    for call in (upload.write(10 * KIB, b"x"), upload.set_attributes(1, None), upload.sync(), upload.close()):
        with pytest.raises(NotFound, match="removed while it was being written"):
            await call
    await upload.abort()
    assert backend.contents() == {}


async def test_remove_takes_what_its_own_session_is_writing_along_and_leaves_what_others_write() -> None:
    backend = MemoryBackend({"f": b"old"})
    mine, others = sessions(backend, "alice", "alice")
    own, other = await begun(mine, "/f", b"mine"), await begun(others, "/f", b"other's")
    await mine.remove(path("/f"))
    assert not await is_there(mine, "/f")
    assert not await is_there(others, "/f")
    with pytest.raises(NotFound, match="removed"):
        await own.close()
    await other.close()
    assert backend.contents() == {"f": b"other's"}
    await nothing_is_left(mine, backend)


class HeldBack(MemoryBackend):
    """Publishing, or renaming, waits until it is let go."""

    def __init__(self, what: str, seed: dict[str, bytes] | None = None, **options: int) -> None:
        super().__init__(seed, **options)  # type: ignore[arg-type]
        self.what = what
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        await self._wait("finish_write")
        return await super().finish_write(upload, tail, finish, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self._wait("rename")
        await super().rename(source, target, session, overwrite=overwrite)

    async def _wait(self, what: str) -> None:
        if what == self.what:
            self.begun.set()
            await self.let_go.wait()


async def test_remove_of_a_file_that_is_being_published_removes_it_afterwards() -> None:
    backend = HeldBack("finish_write")
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/f", b"whole")
    closing = asyncio.create_task(upload.close())
    await backend.begun.wait()
    removing = asyncio.create_task(others.remove(path("/f")))
    await asyncio.sleep(0)
    backend.let_go.set()
    await asyncio.gather(closing, removing)
    assert backend.contents() == {}


# ── renaming ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("written", [5, 10 * KIB], ids=["in memory", "sent"])
@pytest.mark.parametrize("stored", [True, False], ids=["over a file", "new"])
@pytest.mark.parametrize("what", ["file", "directory"])
async def test_an_upload_moves_along_with_its_name(what: str, stored: bool, written: int) -> None:
    seed = {"d/beside": b"beside"} | ({"d/f": b"old"} if stored else {})
    backend = MemoryBackend(seed, chunk_bytes=KIB, parallel_chunks=2)
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/d/f", bytes(written))
    source, target = ("/d/f", "/e/g") if what == "file" else ("/d", "/e")
    new = "/e/g" if what == "file" else "/e/f"
    await others.rename(path(source), path(target), overwrite=False)
    shown = 3 if stored and what == "file" else written
    assert await size(mine, new) == shown
    assert not await is_there(mine, "/d/f")
    await upload.write(written, b"more")
    await upload.close()
    assert await size(mine, new) == written + 4
    beside = "d/beside" if what == "file" else "e/beside"
    assert {n: len(c) for n, c in backend.contents().items()} == {beside: 6, new[1:]: written + 4}
    await nothing_is_left(mine, backend)


async def test_an_upload_that_keeps_the_old_file_finds_it_under_its_new_name() -> None:
    backend = MemoryBackend({"log": b"one\n"}, min_chunk_bytes=KIB)
    (files,) = sessions(backend, "alice")
    appending = await files.open_writer(path("/log"), WriteMode(append=True))
    await appending.write(0, b"two\n")
    await files.rename(path("/log"), path("/log.1"), overwrite=False)
    await put(files, "/log", b"three\n")
    await appending.close()
    assert backend.contents() == {"log": b"three\n", "log.1": b"one\ntwo\n"}


async def test_an_upload_of_another_user_stays_where_it_was_begun() -> None:
    backend = MemoryBackend({"d/x": b""})
    alice, bob = sessions(backend, "alice", "bob")
    upload = await begun(bob, "/d/f", b"bob's")
    await alice.rename(path("/d"), path("/e"), overwrite=False)
    await upload.close()
    assert backend.contents() == {"e/x": b"", "d/f": b"bob's"}


async def test_a_name_that_is_only_an_upload_is_not_moved_onto_what_is_there() -> None:
    backend = MemoryBackend({"there": b"x", "d/": b""})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", b"new")
    for target, overwrite in (("/there", False), ("/d", False), ("/d", True)):
        with pytest.raises(AlreadyExists):
            await files.rename(path("/f"), path(target), overwrite=overwrite)
    await files.rename(path("/f"), path("/there"), overwrite=True)
    assert backend.contents()["there"] == b"x"
    await upload.close()
    assert backend.contents() == {"there": b"new", "d/": b""}


async def test_a_rename_that_fails_moves_no_upload() -> None:
    backend = MemoryBackend({"d/x": b"", "e/y": b""})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/d/f", b"new")
    with pytest.raises(AlreadyExists):
        await files.rename(path("/d"), path("/e"), overwrite=False)
    await upload.close()
    assert backend.contents() == {"d/x": b"", "e/y": b"", "d/f": b"new"}


async def test_what_was_sent_is_not_published_where_another_file_has_taken_the_name() -> None:
    backend = MemoryBackend({"f": b"old"}, chunk_bytes=KIB)
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", bytes(10 * KIB))
    await files.rename(path("/f"), path("/g"), overwrite=False)
    await put(files, "/f", b"newer")
    with pytest.raises(AlreadyExists, match="has taken the name"):
        await upload.close()
    assert backend.contents() == {"g": b"old", "f": b"newer"}
    await nothing_is_left(files, backend)


@pytest.mark.parametrize("why", ["a directory is there", "the move fails"])
async def test_what_cannot_be_moved_to_its_new_name_is_not_left_under_the_old_one(why: str) -> None:
    broken: list[str] = []

    def fail(method: str, place: Place) -> None:
        if method in broken:
            raise StorageFailure("no")

    backend = MemoryBackend({"f": b"old"}, chunk_bytes=KIB, fail=fail)
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", bytes(10 * KIB))
    await files.rename(path("/f"), path("/g"), overwrite=False)
    if why == "the move fails":
        broken.append("rename")
    else:
        await files.remove(path("/g"))
        upload = await begun(files, "/f", bytes(10 * KIB))
        await files.rename(path("/f"), path("/g"), overwrite=False)
        await files.make_dir(path("/g"))
    before = backend.contents()
    with pytest.raises((AlreadyExists, StorageFailure)):
        await upload.close()
    assert backend.contents() == before
    await nothing_is_left(files, backend)


async def test_an_old_file_that_was_replaced_while_its_name_changed_is_a_conflict() -> None:
    backend = MemoryBackend({"log": b"one\n"}, min_chunk_bytes=KIB)
    (files,) = sessions(backend, "alice")
    appending = await files.open_writer(path("/log"), WriteMode(append=True))
    await appending.write(0, b"two\n")
    await files.rename(path("/log"), path("/log.1"), overwrite=False)
    backend.put("log.1", b"another's")
    with pytest.raises(Changed):
        await appending.close()
    assert backend.contents() == {"log.1": b"another's"}
    await nothing_is_left(files, backend)


async def test_a_rename_waits_for_what_is_being_published_in_the_directory() -> None:
    backend = HeldBack("finish_write", {"d/x": b""})
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/d/f", b"whole")
    closing = asyncio.create_task(upload.close())
    await backend.begun.wait()
    renaming = asyncio.create_task(others.rename(path("/d"), path("/e"), overwrite=False))
    await asyncio.sleep(0)
    assert set(backend.contents()) == {"d/x"}
    backend.let_go.set()
    await asyncio.gather(closing, renaming)
    assert backend.contents() == {"e/x": b"", "e/f": b"whole"}


async def test_a_close_waits_for_a_rename_of_its_directory_and_follows_it() -> None:
    backend = HeldBack("rename", {"d/x": b""})
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/d/f", b"whole")
    renaming = asyncio.create_task(others.rename(path("/d"), path("/e"), overwrite=False))
    await backend.begun.wait()
    closing = asyncio.create_task(upload.close())
    await asyncio.sleep(0)
    backend.let_go.set()
    await asyncio.gather(closing, renaming)
    assert backend.contents() == {"e/x": b"", "e/f": b"whole"}


async def test_a_close_that_is_given_up_while_it_waits_for_a_rename_leaves_nothing() -> None:
    backend = HeldBack("rename", {"d/x": b""}, chunk_bytes=KIB)
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/d/f", bytes(10 * KIB))
    renaming = asyncio.create_task(others.rename(path("/d"), path("/e"), overwrite=False))
    await backend.begun.wait()
    closing = asyncio.create_task(upload.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    await asyncio.wait([closing])
    await nothing_is_left(mine, backend)
    backend.let_go.set()
    await renaming
    assert backend.contents() == {"e/x": b""}


async def test_an_upload_brings_back_the_directory_that_was_removed_meanwhile() -> None:
    backend = MemoryBackend({"d/": b""})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/d/f", b"whole")
    await files.remove_dir(path("/d"))
    await upload.close()
    assert backend.contents() == {"d/f": b"whole"}


# ── STAT does not wait ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [NEW, CREATE], ids=["truncated", "kept"])
async def test_stat_of_a_file_that_is_being_published_is_answered_at_once(mode: WriteMode) -> None:
    backend = HeldBack("finish_write", {"f": b"the old file"})
    mine, others = sessions(backend, "alice", "alice")
    upload = await begun(mine, "/f", b"new", mode)
    closing = asyncio.create_task(upload.close())
    await backend.begun.wait()
    async with asyncio.timeout(5):
        assert await size(others, "/f") == (3 if mode is NEW else 12)
    backend.let_go.set()
    await closing
    assert await size(others, "/f") == len(backend.contents()["f"])


async def test_stat_of_a_file_whose_write_waits_for_room_is_answered_at_once() -> None:
    class HeldChunks(MemoryBackend):
        let_go = asyncio.Event()

        async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
            await self.let_go.wait()
            await super().write_chunk(upload, data, session)

    backend = HeldChunks(chunk_bytes=64 * KIB)
    (files,) = sessions(backend, "alice")
    upload = await files.open_writer(path("/f"), NEW)
    writing = asyncio.create_task(upload.write(0, bytes(MIB)))
    await asyncio.sleep(0.05)
    assert not writing.done()
    async with asyncio.timeout(5):
        assert 0 < await size(files, "/f") < MIB  # what there was room for so far
    backend.let_go.set()
    await writing
    assert await size(files, "/f") == MIB
    await upload.close()


# ── given up for want of memory ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stored", [True, False], ids=["over a file", "new"])
@pytest.mark.parametrize("mode", [NEW, CREATE], ids=["truncated", "kept"])
async def test_what_was_given_up_stays_so_under_another_name(mode: WriteMode, stored: bool) -> None:
    backend = MemoryBackend({"d/f": b"a long old file"} if stored else {"d/": b""})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/d/f", b"new", mode)
    assert upload._writer._pipeline.give_up(Busy("too little memory"))
    await files.rename(path("/d"), path("/e"), overwrite=False)
    before = backend.contents()
    with pytest.raises(Busy, match="too little memory"):
        await upload.close()
    assert backend.contents() == before
    await nothing_is_left(files, backend)


async def test_a_file_that_is_being_closed_is_not_given_up() -> None:
    """Also while it is only asked what is there: what is held must not go meanwhile."""
    asked, answer = asyncio.Event(), asyncio.Event()

    class Slow(MemoryBackend):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            asked.set()
            await answer.wait()
            return await super().file_info(place, session)

    backend = Slow({"f": b"a long old file"})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", b"A NEW", CREATE)
    closing = asyncio.create_task(upload.close())
    await asked.wait()
    assert not upload._writer._pipeline.give_up(Busy("too little memory"))
    answer.set()
    await closing
    assert backend.contents() == {"f": b"A NEW" + b"a long old file"[5:]}


# ── only open, and this server changes the name ─────────────────────────────────────────────────────


async def late_time(files: FileSystem) -> None:
    await files.set_attributes(path("/f"), NewAttributes(mtime=1000.0))


async def replaced(files: FileSystem) -> None:
    await put(files, "/f", b"new content")


async def renamed_onto(files: FileSystem) -> None:
    await put(files, "/t", b"third")
    await files.rename(path("/t"), path("/f"), overwrite=True)


async def removed(files: FileSystem) -> None:
    await files.remove(path("/f"))


class NewVersions(MemoryBackend):
    """Setting a time makes another version, as S3's copy of a file of several parts does."""

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        done = await super().set_mtime(place, mtime, session)
        self.objects[place.key] = replace(self.objects[place.key], version=f'"{mtime}"')
        return done


@pytest.mark.parametrize("by", ["the same session", "another session", "another user", "another worker"])
@pytest.mark.parametrize("change", [late_time, replaced, renamed_onto, removed])
@pytest.mark.parametrize("mode", [OPEN_ONLY, CREATE], ids=["W", "W|CREAT"])
async def test_what_this_server_does_to_a_name_fails_no_file_that_is_only_open(
    mode: WriteMode, change: Callable[[FileSystem], Awaitable[None]], by: str
) -> None:
    """Nor is anything stored, but for what CREAT asks for where another worker has removed the file."""
    backend, memory = NewVersions({"f": b"one"}), create_shared_file(CHANGE_ROWS, 2)
    here, there = (
        OpenStorage(backend, FileOptions(), changes=SharedCounters.shared(memory, 2, column))
        for column in range(2)
    )
    files = FileSystem(here, Mounts.of(""), Session("alice"))
    changing = {
        "the same session": files,
        "another session": FileSystem(here, Mounts.of(""), Session("alice")),
        "another user": FileSystem(here, Mounts.of(""), Session("bob")),
        "another worker": FileSystem(there, Mounts.of(""), Session("alice")),
    }[by]
    probe = await files.open_writer(path("/f"), mode, readable=True)
    await change(changing)
    before = dict(backend.objects)
    await probe.close()
    if mode is CREATE and change is removed and by == "another worker":
        assert backend.contents() == {"f": b""}
    else:
        assert backend.objects == before
    await nothing_is_left(files, backend)


async def test_what_others_do_in_the_storage_fails_a_file_that_is_only_open() -> None:
    backend = MemoryBackend({"f": b"one"})
    (files,) = sessions(backend, "alice")
    probe = await files.open_writer(path("/f"), OPEN_ONLY)
    backend.put("f", b"by another machine")
    with pytest.raises(Changed):
        await probe.close()


async def test_a_write_that_was_refused_fails_the_file_whatever_becomes_of_its_name() -> None:
    backend = MemoryBackend({"f": b"one"})
    (files,) = sessions(backend, "alice")
    upload = await files.open_writer(path("/f"), CREATE)
    upload.fail(Busy("no"))
    await put(files, "/f", b"new")
    with pytest.raises(Busy):
        await upload.close()


# ── onto a name that is taken ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("written", [5, 10 * KIB], ids=["in memory", "sent"])
@pytest.mark.parametrize(
    "mode",
    [NEW, CREATE, WriteMode(append=True), WriteMode(exclusive=True)],
    ids=["TRUNC", "CREAT", "APPEND", "EXCL"],
)
async def test_an_upload_that_takes_the_name_of_a_stored_file_replaces_all_of_it(
    mode: WriteMode, written: int
) -> None:
    backend = MemoryBackend({"g": bytes(20 * KIB)}, chunk_bytes=KIB, parallel_chunks=2)
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", b"n" * written, mode)
    await files.rename(path("/f"), path("/g"), overwrite=True)
    assert await size(files, "/g") == written
    await upload.write(written, b"more")
    await upload.close()
    assert backend.contents() == {"g": b"n" * written + b"more"}
    await nothing_is_left(files, backend)


async def test_an_exclusive_upload_whose_new_name_was_free_replaces_nothing() -> None:
    backend = MemoryBackend()
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", b"new", WriteMode(exclusive=True))
    await files.rename(path("/f"), path("/g"), overwrite=True)
    backend.put("g", b"by another machine")
    with pytest.raises(AlreadyExists):
        await upload.close()
    assert backend.contents() == {"g": b"by another machine"}


@pytest.mark.parametrize("source", ["stored", "only an upload"])
@pytest.mark.parametrize("mode", [NEW, CREATE, OPEN_ONLY], ids=["TRUNC", "CREAT", "W"])
async def test_a_file_that_takes_a_name_is_not_written_over_by_what_its_session_was_writing_there(
    mode: WriteMode, source: str
) -> None:
    backend = MemoryBackend({"g": b"the old g"})
    (files,) = sessions(backend, "alice")
    stale = await begun(files, "/g", b"abc", mode)
    taking = await begun(files, "/f", b"the new content of g")
    if source == "stored":
        await taking.close()
    await files.rename(path("/f"), path("/g"), overwrite=True)
    assert await size(files, "/g") == 20
    with pytest.raises(NotFound, match="another took its name"):
        await stale.close()
    if source == "only an upload":
        await taking.close()
    assert backend.contents() == {"g": b"the new content of g"}
    await nothing_is_left(files, backend)


async def test_a_rename_that_fails_gives_no_upload_at_its_target_up() -> None:
    backend = MemoryBackend({"g": b"old"})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/g", b"new")
    with pytest.raises(NotFound):
        await files.rename(path("/f"), path("/g"), overwrite=True)
    await upload.close()
    assert backend.contents() == {"g": b"new"}


@pytest.mark.parametrize("source", ["/d/log", "/d"])
async def test_a_large_file_that_is_being_added_to_is_not_renamed_before_it_is_closed(source: str) -> None:
    """The storage keeps its bytes in the upload, which is bound to the name that they have."""
    backend = MemoryBackend({"d/log": bytes(KIB)}, min_chunk_bytes=KIB, chunk_bytes=KIB)
    (files,) = sessions(backend, "alice")
    appending = await begun(files, "/d/log", b"more", WriteMode(append=True))
    with pytest.raises(Busy, match="cannot be renamed before it is closed"):
        await files.rename(path(source), path("/e"), overwrite=True)
    await appending.close()
    assert backend.contents() == {"d/log": bytes(KIB) + b"more"}
    await files.rename(path(source), path("/e"), overwrite=True)


async def test_a_file_that_was_added_to_and_replaced_since_is_renamed() -> None:
    """What is left open there cannot be stored any more, so it blocks nothing."""
    backend = MemoryBackend({"log": bytes(KIB)}, min_chunk_bytes=KIB, chunk_bytes=KIB)
    (files,) = sessions(backend, "alice")
    left = await begun(files, "/log", b"more", WriteMode(append=True))
    await put(files, "/log", b"new")
    await files.rename(path("/log"), path("/log.1"), overwrite=False)
    assert backend.contents() == {"log.1": b"new"}
    with pytest.raises(Changed):
        await left.close()


async def test_a_name_that_is_only_an_upload_is_not_moved_below_a_file() -> None:
    backend = MemoryBackend({"g": b"a file"})
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", b"new")
    with pytest.raises(NotADirectory):
        await files.rename(path("/f"), path("/g/f"), overwrite=True)
    await upload.close()
    assert backend.contents() == {"g": b"a file", "f": b"new"}
    await nothing_is_left(files, backend)


# ── what was sent is moved ──────────────────────────────────────────────────────────────────────────


async def test_a_file_that_was_moved_is_stored_although_nobody_can_look_at_it() -> None:
    broken: list[str] = []

    def fail(method: str, place: Place) -> None:
        if method == "rename":
            broken.append("moved")
        elif method == "file_info" and broken[-1:] == ["moved"]:
            raise StorageFailure("no")

    backend, ear = MemoryBackend(chunk_bytes=KIB), Ear()
    async with volume_with(EventHub(ear.hear), backend) as files:
        upload = await begun(files, "/f", bytes(10 * KIB))
        await files.rename(path("/f"), path("/g"), overwrite=False)
        broken.clear()
        backend.fail = fail
        await upload.close()
        await until(lambda: ear.heard)
    assert {name.rpartition("/")[2]: len(data) for name, data in backend.contents().items()} == {
        "g": 10 * KIB
    }
    assert [(event.path, event.size, event.version) for event in ear.heard] == [("/g", 10 * KIB, None)]


@pytest.mark.parametrize("when", ["it is published", "it is moved"])
async def test_a_client_that_leaves_while_its_file_is_moved_has_stored_it(when: str) -> None:
    reached, let_go = asyncio.Event(), asyncio.Event()
    held: list[str] = []

    class Slow(MemoryBackend):
        async def finish_write(
            self, upload: Upload, tail: Buffer, finish: Finish, session: Session
        ) -> FileInfo:
            info = await super().finish_write(upload, tail, finish, session)
            upload.stored = info
            await self._hold("it is published")
            return info

        async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
            await self._hold("it is moved")
            await super().rename(source, target, session, overwrite=overwrite)

        async def _hold(self, at: str) -> None:
            if at in held:
                reached.set()
                await let_go.wait()

    backend, ear = Slow(chunk_bytes=KIB), Ear()
    async with volume_with(EventHub(ear.hear), backend) as files:
        upload = await begun(files, "/f", bytes(10 * KIB))
        await files.rename(path("/f"), path("/g"), overwrite=False)
        held.append(when)
        with capture_events() as logs:
            closing = asyncio.create_task(upload.close())
            await reached.wait()
            closing.cancel()
            await asyncio.sleep(0)
            let_go.set()
            await asyncio.gather(closing, return_exceptions=True)
        assert closing.cancelled()
        await until(lambda: ear.heard)
    assert {name.rpartition("/")[2]: len(data) for name, data in backend.contents().items()} == {
        "g": 10 * KIB
    }
    assert [(event.path, event.size) for event in ear.heard] == [("/g", 10 * KIB)]
    assert [line["event"] for line in logs if line["event"].startswith("upload.")] == ["upload.committed"]


async def test_a_second_file_that_is_only_open_hides_no_upload() -> None:
    backend = MemoryBackend()
    (files,) = sessions(backend, "alice")
    upload = await begun(files, "/f", bytes(5120))
    second = await files.open_writer(path("/f"), CREATE)
    assert await size(files, "/f") == 5120
    await files.set_attributes(path("/f"), NewAttributes(mtime=1000.0))
    await upload.close()
    assert backend.objects[b"f"].mtime == 1000
    await second.close()
    assert {name: len(data) for name, data in backend.contents().items()} == {"f": 5120}
