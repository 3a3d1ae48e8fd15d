"""What is a commit, when it is told, and what is no commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends import Backend, FileInfo, Place
from s3sftp.backends.local import LocalBackend, LocalOptions
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageFailure
from s3sftp.events import EventHub, Renamed, Subscriber
from s3sftp.fs import NewAttributes, VirtualPath, WriteMode
from tests.backends.minimal_backends import Streaming, WholeFiles
from tests.events.faulty_subscribers import Ear, put, until, volume_with
from tests.support.logs import capture_events

F = VirtualPath.parse(b"/f")


async def test_a_commit_is_told_with_path_place_size_version_session_and_duration() -> None:
    ear, backend = Ear(), MemoryBackend()
    async with volume_with(EventHub(ear.hear), backend) as files:
        await put(files, "/in/invoice.csv", b"1,2,3")
        await until(lambda: ear.heard)
        stored = await files.stat(VirtualPath.parse(b"/in/invoice.csv"))
    (event,) = ear.heard
    assert (event.path, event.size) == ("/in/invoice.csv", 5)
    assert event.place.key == b"alice/in/invoice.csv"
    assert (event.version, event.mtime) == (stored.version, stored.mtime)
    assert event.version is not None
    assert (event.session.user, event.session.session_id) == ("alice", "s.1")
    assert 0 <= event.duration < 10


async def test_it_is_told_only_after_the_storage_has_accepted_the_file() -> None:
    backend, seen = MemoryBackend(latency=0.05), []

    async def look(event: Any) -> None:
        seen.append(backend.objects[event.place.key].data)

    async with volume_with(EventHub(look), backend) as files:
        await put(files, "/f", b"whole")
        await until(lambda: seen)
    assert seen == [b"whole"]


async def test_an_upload_that_fails_or_is_aborted_is_never_told() -> None:
    broken = True

    def fail(method: str, place: Place) -> None:
        if broken and method == "finish_write":
            raise StorageFailure

    ear = Ear()
    async with volume_with(EventHub(ear.hear), MemoryBackend(fail=fail)) as files:
        with pytest.raises(StorageFailure):
            await put(files, "/failed")
        writer = await files.open_writer(VirtualPath.parse(b"/aborted"), WriteMode(truncate=True))
        await writer.write(0, b"x")
        await writer.abort()
        broken = False
        await put(files, "/stored")
        await until(lambda: ear.heard)
    assert ear.paths == ["/stored"]


async def test_a_client_that_leaves_after_the_storage_has_the_file_does_not_take_the_event_with_it() -> None:
    """CLOSE is cancelled in what remains to do after the commit."""
    ear = Ear()
    async with volume_with(EventHub(ear.hear)) as files:
        writer = await files.open_writer(F, WriteMode(truncate=True))
        await writer.write(0, b"x")
        finished, release = asyncio.Event(), asyncio.Event()
        end = writer._writer._pipeline.end

        async def slow_end() -> None:
            finished.set()
            await release.wait()
            await end()

        writer._writer._pipeline.end = slow_end  # type: ignore[method-assign]
        closing = asyncio.create_task(writer.close())
        await finished.wait()
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await until(lambda: ear.heard)
        await end()
    assert ear.paths == ["/f"]


class Stuck:
    """Where a storage stays once it has been asked to; what it was doing before is done."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def forever(self, *_: Any) -> Any:
        self.reached.set()
        await asyncio.Event().wait()


def stuck_at_the_time(stuck: Stuck, tmp_path: Path) -> Backend:
    """It only takes whole files, and sets the time afterwards."""
    backend: Any = WholeFiles()
    backend.write_file = backend.inner.write_file
    backend.set_mtime = stuck.forever
    return backend  # type: ignore[no-any-return]


def stuck_when_asked_what_is_stored(stuck: Stuck, tmp_path: Path) -> Backend:
    """It streams, does not say what it has stored, and is asked."""
    backend: Any = Streaming()

    async def finish_write(*arguments: Any) -> None:
        await backend.inner.finish_write(*arguments)
        backend.file_info = stuck.forever

    backend.finish_write = finish_write
    return backend  # type: ignore[no-any-return]


def stuck_after_it_has_said_what_is_stored(stuck: Stuck, tmp_path: Path) -> Backend:
    """It streams, and has more to do behind its `finish_write`."""
    backend: Any = Streaming()

    async def finish_write(upload: Any, *arguments: Any) -> None:
        upload.stored = await backend.inner.finish_write(upload, *arguments)
        await stuck.forever()

    backend.finish_write = finish_write
    return backend  # type: ignore[no-any-return]


def stuck_while_it_cleans_up(stuck: Stuck, tmp_path: Path) -> Backend:
    """A directory, whose file is published and not closed yet."""
    backend = LocalBackend(LocalOptions(root=tmp_path))
    backend._end = stuck.forever  # type: ignore[method-assign]
    return backend


@pytest.mark.parametrize(
    "make",
    [
        stuck_at_the_time,
        stuck_when_asked_what_is_stored,
        stuck_after_it_has_said_what_is_stored,
        stuck_while_it_cleans_up,
    ],
)
async def test_a_file_is_stored_when_the_storage_has_confirmed_it_whatever_it_still_has_to_do(
    make: Callable[[Stuck, Path], Backend], tmp_path: Path
) -> None:
    """A client that leaves in a later step takes neither the event along nor the truth in the log."""
    ear, stuck = Ear(), Stuck()
    async with volume_with(EventHub(ear.hear), make(stuck, tmp_path)) as files:
        writer = await files.open_writer(F, WriteMode(truncate=True))
        await writer.write(0, b"12345")
        await writer.set_attributes(None, 1.0)
        with capture_events() as logs:
            closing = asyncio.create_task(writer.close())
            await stuck.reached.wait()
            if make is stuck_while_it_cleans_up:
                files.shared.backend._end = LocalBackend._end.__get__(files.shared.backend)  # type: ignore[attr-defined]
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        await until(lambda: ear.heard)
    assert [(event.path, event.size) for event in ear.heard] == [("/f", 5)]
    assert [line["event"] for line in logs if line["event"].startswith("upload.")] == ["upload.committed"]


async def test_a_copy_inside_the_storage_and_a_new_size_are_commits_and_leaving_a_file_as_it_is_is_none() -> (
    None
):
    ear = Ear()
    async with volume_with(EventHub(ear.hear)) as files:
        await put(files, "/f", b"12345")
        reader = await files.open_reader(F)
        copy = await files.open_writer(VirtualPath.parse(b"/copy"), WriteMode(truncate=True))
        await files.copy(reader, 0, 0, copy, 0)
        await copy.close()
        await reader.close()
        await files.set_attributes(F, NewAttributes(size=2))
        untouched = await files.open_writer(F, WriteMode())
        await untouched.close()
        await until(lambda: len(ear.heard) == 3)
    assert [(event.path, event.size) for event in ear.heard] == [("/f", 5), ("/copy", 5), ("/f", 2)]


async def test_a_rename_is_an_event_of_its_own_and_no_commit() -> None:
    ear, renames = Ear(), []

    async def renamed(event: Renamed) -> None:
        renames.append((event.source, event.target, event.target_place.key, event.session.user))

    async with volume_with(EventHub(ear.hear, renamed)) as files:
        await put(files, "/x.partial")
        target = VirtualPath.parse(b"/x")
        await files.rename(VirtualPath.parse(b"/x.partial"), target, overwrite=False)
        with pytest.raises(Exception, match="file exists"):
            await files.rename(target, target, overwrite=False)
        await until(lambda: renames)
    assert ear.paths == ["/x.partial"]
    assert renames == [("/x.partial", "/x", b"alice/x", "alice")]


async def test_one_who_acknowledges_renames_may_refuse_the_answer_to_one() -> None:
    async def refuse(event: Renamed) -> None:
        raise StorageFailure("not that name")

    backend = MemoryBackend({"alice/x": b""})
    events = EventHub(on_renamed=Subscriber(refuse, acknowledge=True))
    async with volume_with(events, backend) as files:
        with pytest.raises(StorageFailure, match="not that name"):
            await files.rename(VirtualPath.parse(b"/x"), VirtualPath.parse(b"/y"), overwrite=False)
    assert set(backend.contents()) == {"alice/y"}


async def test_names_that_are_not_utf_8_survive() -> None:
    ear = Ear()
    async with volume_with(EventHub(ear.hear)) as files:
        writer = await files.open_writer(VirtualPath.parse(b"/\xff"), WriteMode(truncate=True))
        await writer.close()
        await until(lambda: ear.heard)
    assert ear.heard[0].path.encode("utf-8", "surrogateescape") == b"/\xff"
    assert ear.heard[0].place.key == b"alice/\xff"


async def test_one_who_acknowledges_runs_after_the_commit_and_before_the_answer() -> None:
    backend, order = MemoryBackend(), []

    async def acknowledge(event: Any) -> None:
        order.append(f"stored {b'alice/f' in backend.objects}")
        await asyncio.sleep(0.02)
        order.append("acknowledged")

    async with volume_with(EventHub(Subscriber(acknowledge, acknowledge=True)), backend) as files:
        await put(files, "/f")
        order.append("answered")
    assert order == ["stored True", "acknowledged", "answered"]


async def test_its_failure_is_that_of_the_close_and_the_file_stays() -> None:
    refused = Ear(failures=[StorageFailure("not an invoice"), ValueError("secret detail")])
    other, events = Ear(), None
    events = EventHub([Subscriber(refused.hear, name="check", acknowledge=True), other.hear])
    async with volume_with(events) as files:
        with pytest.raises(StorageFailure, match="not an invoice"):
            await put(files, "/f")
        with pytest.raises(StorageFailure, match="is stored, but") as failed:
            await put(files, "/g")
        assert "secret" not in str(failed.value)
        assert (await files.stat(F)).size == 1
        await until(lambda: len(other.heard) == 2, "others to be told nevertheless")
        assert events.counts()["check"].given_up == 2
        await put(files, "/h")
        assert events.counts()["check"].delivered == 1


async def test_one_who_acknowledges_has_a_time_limit_over_all_attempts() -> None:
    hanging = Ear(gate=asyncio.Event())
    subscriber = Subscriber(
        hanging.hear, name="hanging", acknowledge=True, time_limit=0.1, attempts=5, first_pause=0.05
    )
    async with volume_with(EventHub(subscriber)) as files:
        began = asyncio.get_running_loop().time()
        with pytest.raises(StorageFailure):
            await put(files, "/f")
        assert asyncio.get_running_loop().time() - began < 2
        info: FileInfo = await files.stat(F)
        assert info.size == 1
