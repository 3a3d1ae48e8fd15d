"""Each file has one story: what sinks are told of uploads, removals and renames never contradicts itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import AlreadyExists, Busy, NotFound, PermissionDenied, StorageError, StorageFailure
from s3sftp.events.announcements import Announcer
from s3sftp.events.cloud_event import EventKind
from s3sftp.events.dispatcher import EventDispatcher
from s3sftp.events.event_metrics import EventMetrics
from s3sftp.events.outbox.looking import look
from s3sftp.events.routes import Routes, SinkRule
from s3sftp.fs import AccessRules, FileOptions, FileSystem, Mounts, OpenStorage, VirtualPath, WriteMode
from s3sftp.fs.rights import Right
from s3sftp.telemetry.metrics import Metrics
from tests.events.faulty_subscribers import put
from tests.events.outbox.sinks import ALL, SOON, CountedObjects, ScriptedSink


def at(path: str) -> VirtualPath:
    return VirtualPath.parse(path.encode())


@dataclass
class Told:
    files: FileSystem
    sink: ScriptedSink
    objects: CountedObjects
    dispatcher: EventDispatcher

    async def settled(self) -> None:
        """Wait until nothing is in doubt."""
        async with asyncio.timeout(60):
            while (
                self.dispatcher._doubts or len(self.dispatcher._background) or len(self.dispatcher._erasing)
            ):
                await asyncio.sleep(0.005)

    async def stories(self) -> list[tuple[str, str]]:
        """All that is told until nothing remains to be told, changes in doubt included."""
        await self.settled()
        await self.dispatcher.stop()
        return [(str(event.kind), event.subject) for event in self.sink.accepted]


@asynccontextmanager
async def telling(
    backend: MemoryBackend | None = None,
    paths: tuple[str, ...] = (),
    kinds: frozenset[object] = ALL,
    *,
    mounts: Mounts | None = None,
    synchronous: bool = False,
) -> AsyncIterator[Told]:
    storage = backend or MemoryBackend()
    volume = OpenStorage(storage, FileOptions())
    sink, objects = ScriptedSink(), CountedObjects()
    rules = [SinkRule("hook", kinds, paths, synchronous=synchronous)]  # type: ignore[arg-type]
    dispatcher = EventDispatcher(
        [(rules[0], sink)],
        objects,
        EventMetrics(Metrics()),
        lambda place: look(volume.backend, place),
        takeover_seconds=3600,
        most_waiting=100,
        backoff=SOON,
    )
    volume.announcer = Announcer(
        Routes(rules, ("*.filepart", "*.partial")), "urn:test", volume.backend, dispatcher
    )
    dispatcher.doubt_seconds = 0.0
    await volume.start()
    await dispatcher.start()
    try:
        files = FileSystem(volume, mounts or Mounts.of("alice/"), Session("alice", session_id="s.1"))
        yield Told(files, sink, objects, dispatcher)
    finally:
        await dispatcher.stop()
        await volume.stop()


def failing(method: str, *errors: Exception) -> Callable[[str, Place], None]:
    left = list(errors)

    def fail(called: str, place: Place) -> None:
        if called == method and left:
            raise left.pop(0)

    return fail


async def test_a_failed_upload_is_told_as_failed_alone() -> None:
    async with telling(MemoryBackend(fail=failing("finish_write", StorageFailure()))) as told:
        with pytest.raises(StorageFailure):
            await put(told.files, "/f")
        assert await told.stories() == [("upload.failed", "/f")]
        assert not told.objects.entries()


async def test_a_file_that_was_opened_and_not_changed_is_not_told_of() -> None:
    async with telling(MemoryBackend({"alice/f": b"old"})) as told:
        writer = await told.files.open_writer(at("/f"), WriteMode())
        await writer.close()
        assert await told.stories() == []


async def test_an_upload_that_its_client_leaves_is_aborted_and_one_that_it_closes_is_committed() -> None:
    async with telling() as told:
        writer = await told.files.open_writer(at("/left"), WriteMode(truncate=True))
        await writer.write(0, b"x")
        await writer.abort()
        await put(told.files, "/kept", b"")
        await told.sink.until(lambda: len(told.sink.accepted) == 2)
        assert await told.stories() == [("upload.aborted", "/left"), ("upload.committed", "/kept")]


async def test_a_commit_that_is_cancelled_after_the_storage_has_the_file_is_committed() -> None:
    stored = asyncio.Event()
    backend = MemoryBackend()
    finish = backend.finish_write

    async def finish_and_hang(*arguments: object) -> object:
        await finish(*arguments)  # type: ignore[arg-type]
        stored.set()
        return await asyncio.Event().wait()

    backend.finish_write = finish_and_hang  # type: ignore[assignment, method-assign]
    async with telling(backend) as told:
        closing = asyncio.create_task(put(told.files, "/f"))
        await stored.wait()
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
        assert len(await told.stories()) == 1


async def test_removals_and_renames_that_do_not_happen_are_not_told() -> None:
    backend = MemoryBackend({"alice/a": b"1", "alice/b": b"2"}, fail=failing("delete", StorageFailure()))
    async with telling(backend) as told:
        with pytest.raises(StorageFailure):
            await told.files.remove(at("/a"))
        with pytest.raises(NotFound):
            await told.files.remove(at("/missing"))
        with pytest.raises(AlreadyExists):
            await told.files.rename(at("/a"), at("/b"), overwrite=False)
        with pytest.raises(NotFound):
            await told.files.rename(at("/missing"), at("/c"), overwrite=False)
        assert await told.stories() == []
        assert not told.objects.entries()


async def test_a_removal_and_a_rename_are_told_with_what_was_there() -> None:
    async with telling(MemoryBackend({"alice/a": b"1", "alice/dir/b": b"22"})) as told:
        await told.files.rename(at("/a"), at("/c"), overwrite=False)
        await told.files.rename(at("/dir"), at("/other"), overwrite=False)
        await told.files.remove(at("/c"))
        assert await told.stories() == [
            ("file.renamed", "/c"),
            ("directory.renamed", "/other"),
            ("file.removed", "/c"),
        ]
        renamed, tree, removed = told.sink.accepted
        assert renamed.data["source_path"] == "/a"
        assert (renamed.data["size"], removed.data["size"]) == (1, 1)
        assert tree.data["source_path"] == "/dir"


async def test_a_rename_that_published_its_target_and_left_its_source_is_told() -> None:
    backend = MemoryBackend({"alice/a": b"1"})

    async def copy_alone(source: Place, target: Place, *_: object, **__: object) -> None:
        backend.put(target.key.decode(), b"1")
        raise StorageFailure("the source could not be removed")

    backend.rename = copy_alone  # type: ignore[method-assign, assignment]
    async with telling(backend) as told:
        with pytest.raises(StorageError):
            await told.files.rename(at("/a"), at("/c"), overwrite=False)
        assert await told.stories() == [("file.renamed", "/c")]
        assert told.sink.accepted[0].data["certainty"] in ("confirmed", "unknown")


@pytest.mark.parametrize("refusal", [PermissionDenied(), Busy()])
async def test_a_removal_that_was_refused_is_told_once_when_it_is_made(refusal: StorageError) -> None:
    backend = MemoryBackend({"alice/a": b"1"}, fail=failing("delete", refusal))
    async with telling(backend) as told:
        with pytest.raises(type(refusal)):
            await told.files.remove(at("/a"))
        await told.files.remove(at("/a"))
        assert await told.stories() == [("file.removed", "/a")]


async def test_a_removal_in_doubt_that_is_made_again_is_told_once() -> None:
    backend = MemoryBackend({"alice/a": b"1"}, fail=failing("delete", StorageFailure()))
    async with telling(backend) as told:
        with pytest.raises(StorageFailure):
            await told.files.remove(at("/a"))
        await told.files.remove(at("/a"))
        assert await told.stories() == [("file.removed", "/a")]
        assert not told.objects.entries()


@pytest.mark.parametrize("error", [PermissionDenied(), Busy(), StorageFailure()])
async def test_a_rename_in_doubt_that_is_made_again_is_told_once(error: StorageError) -> None:
    backend = MemoryBackend({"alice/a": b"1"}, fail=failing("rename", error))
    async with telling(backend) as told:
        with pytest.raises(type(error)):
            await told.files.rename(at("/a"), at("/c"), overwrite=True)
        await told.files.rename(at("/a"), at("/c"), overwrite=True)
        assert await told.stories() == [("file.renamed", "/c")]
        assert not told.objects.entries()


async def test_a_rename_in_doubt_stays_so_if_another_attempt_is_refused() -> None:
    """The first one had published the target, over which the second one may not rename."""
    backend = MemoryBackend({"alice/a": b"1"})
    rename = backend.rename

    async def copy_alone(source: Place, target: Place, *_: object, **__: object) -> None:
        backend.put(target.key.decode(), b"1")
        backend.rename = rename  # type: ignore[method-assign]
        raise StorageFailure("the source could not be removed")

    backend.rename = copy_alone  # type: ignore[method-assign, assignment]
    async with telling(backend) as told:
        with pytest.raises(StorageFailure):
            await told.files.rename(at("/a"), at("/c"), overwrite=False)
        with pytest.raises(AlreadyExists):
            await told.files.rename(at("/a"), at("/c"), overwrite=False)
        assert await told.stories() == [("file.renamed", "/c")]


async def test_another_file_that_is_removed_after_a_removal_in_doubt_is_told_too() -> None:
    backend = MemoryBackend({"alice/a": b"1"})
    delete = backend.delete

    async def delete_and_fail(place: Place, session: Session) -> None:
        await delete(place, session)
        backend.delete = delete  # type: ignore[method-assign]
        raise StorageFailure

    backend.delete = delete_and_fail  # type: ignore[method-assign]
    async with telling(backend, kinds=frozenset({EventKind.FILE_REMOVED})) as told:
        with pytest.raises(StorageFailure):
            await told.files.remove(at("/a"))
        await put(told.files, "/a", b"22")
        await told.files.remove(at("/a"))
        assert await told.stories() == [("file.removed", "/a")] * 2


async def test_a_client_that_leaves_after_a_removal_takes_no_event_along() -> None:
    async with telling(MemoryBackend({"alice/a": b"1"}), synchronous=True) as told:
        happened = told.dispatcher.happened

        def happened_and_left(*arguments: object) -> None:
            happened(*arguments)  # type: ignore[arg-type]
            asyncio.get_running_loop().call_soon(removing.cancel)

        told.dispatcher.happened = happened_and_left  # type: ignore[method-assign, assignment]
        removing = asyncio.create_task(told.files.remove(at("/a")))
        await asyncio.gather(removing, return_exceptions=True)
        assert removing.cancelled()
        await told.sink.until(lambda: bool(told.sink.accepted))
        assert await told.stories() == [("file.removed", "/a")]


async def test_a_rename_that_fails_after_it_was_made_is_told() -> None:
    """The server asks what it has renamed, for a user who may upload alone, and gets no answer."""
    is_made = False

    def fail(called: str, place: Place) -> None:
        nonlocal is_made
        if is_made and called == "file_info":
            raise StorageFailure
        is_made = is_made or called == "rename"

    mounts = Mounts.of("alice/", rules=AccessRules(rights=frozenset({Right.WRITE})))
    async with telling(MemoryBackend(fail=fail), mounts=mounts, synchronous=True) as told:
        await put(told.files, "/a")
        with pytest.raises(StorageFailure):
            await told.files.rename(at("/a"), at("/c"), overwrite=False)
        await told.sink.until(lambda: len(told.sink.accepted) == 2)
        assert await told.stories() == [("upload.committed", "/a"), ("file.renamed", "/c")]


async def test_a_file_is_announced_once_under_its_final_name() -> None:
    """WinSCP's and rclone's temporary names, and a directory that happens to be renamed too."""
    async with telling() as told:
        await put(told.files, "/a.csv.filepart", b"123")
        await told.files.rename(at("/a.csv.filepart"), at("/a.csv"), overwrite=True)
        await put(told.files, "/b.csv.x1y2.partial", b"12")
        await told.files.rename(at("/b.csv.x1y2.partial"), at("/b.csv"), overwrite=True)
        assert await told.stories() == [("upload.committed", "/a.csv"), ("upload.committed", "/b.csv")]
        assert [event.data["size"] for event in told.sink.accepted] == [3, 2]


async def test_a_sink_with_paths_learns_of_a_file_when_it_gets_a_name_that_it_sees() -> None:
    async with telling(paths=("/in/*.csv",)) as told:
        await put(told.files, "/tmp/a.csv", b"123")
        requests = [each for each in told.objects.requests if "LIST" not in each]
        assert requests == [], "nobody wants to know of it"
        await told.files.rename(at("/tmp/a.csv"), at("/in/a.csv"), overwrite=False)
        await told.files.rename(at("/in/a.csv"), at("/done/a.csv"), overwrite=False)
        assert await told.stories() == [("upload.committed", "/in/a.csv"), ("file.renamed", "/done/a.csv")]
