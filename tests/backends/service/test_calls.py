"""What holds for every service, in a mailbox and behind a socket: nobody waits for another, nothing hangs,
what nobody wants any more is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from s3sftp.backends import Buffer, Entry, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.complete import complete
from s3sftp.backends.contract import CompleteBackend
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.service import Mailbox, callbacks_of, dispatcher, messages, serve, serve_unix
from s3sftp.backends.service.dispatcher import Dispatcher
from s3sftp.backends.service.messages import PIECE_BYTES
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import Changed, NoSpace, NotFound, StorageError, StorageFailure, TimedOut
from tests.backends.service.service_processes import behind, short_directory

ME = Session("alice", "192.0.2.1:5", "OpenSSH_9.9", "s-1", MappingProxyType({"tenant": "one"}))
ROOT, FILE, SLOW = Place(), Place((b"file",)), Place((b"slow",))
SOON = timedelta(seconds=0.3)


class Odd(MemoryBackend):
    """Never answers about `slow`, fails in many ways, and remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__(chunk_bytes=4, page_entries=1, parallel_chunks=1)
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.left = asyncio.Event()
        self.sessions: list[Session] = []
        self.aborts = 0
        self.abort_seconds = 0.0
        self.raises: Exception | None = None

    async def hang(self) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # as what has to be cleaned up would
            self.cancelled.set()

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        self.sessions.append(session)
        if place == SLOW:
            await self.hang()
        if self.raises is not None:
            raise self.raises
        return await super().file_info(place, session)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        try:
            async for page in super().list_dir(place, session):
                yield page
        finally:
            self.left.set()

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        if place == SLOW:
            await self.hang()
        if self.raises is not None:
            raise self.raises
        return await super().begin_write(place, intent, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if bytes(tail) == b"hang":
            await self.hang()
        if bytes(tail) == b"firm":
            with suppress(asyncio.CancelledError):  # published all the same
                await self.hang()
        return await super().finish_write(upload, tail, finish, session)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        self.aborts += 1
        await asyncio.sleep(self.abort_seconds)
        await super().abort_write(upload, session)


@dataclass
class Service:
    """A service of one kind, and the backend that asks it."""

    kind: str
    theirs: Odd = field(default_factory=Odd)
    options: dict[str, Any] = field(default_factory=dict)

    async def open(self, stack: AsyncExitStack) -> CompleteBackend:
        quota = SpoolQuota(None, 1 << 20)
        if self.kind == "socket":
            path, listening = stack.enter_context(short_directory()) / "socket", asyncio.Event()
            self.task = asyncio.create_task(serve_unix(path, self.theirs, listening=listening.set))
            await happens(listening)
            backend = complete(behind(path, **self.options), quota)
        else:
            mailbox = Mailbox(callbacks_of(self.theirs), first_chunk_bytes=4, **self.options)
            self.task = asyncio.create_task(serve(mailbox, self.theirs))
            backend = complete(mailbox.backend(), quota)
        stack.push_async_callback(ended, self.task)
        stack.push_async_callback(backend.stop)
        await backend.start()
        return backend


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(params=["mailbox", "socket"])
async def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def happens(event: asyncio.Event) -> None:
    async with asyncio.timeout(20):
        await event.wait()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_slow_call_does_not_hold_up_others(service: Service, stack: AsyncExitStack) -> None:
    backend = await service.open(stack)
    slow = asyncio.create_task(backend.file_info(SLOW, ME))
    await happens(service.theirs.asked)
    async with asyncio.timeout(20):
        await backend.write_file(FILE, b"content", ME)
        assert (await backend.file_info(FILE, ME)).size == 7
    await ended(slow)


async def test_a_call_that_is_given_up_is_cancelled_at_the_service(
    service: Service, stack: AsyncExitStack
) -> None:
    backend = await service.open(stack)
    slow = asyncio.create_task(backend.file_info(SLOW, ME))
    await happens(service.theirs.asked)
    await ended(slow)
    await happens(service.theirs.cancelled)


async def test_a_call_ends_at_its_time_limit_and_is_cancelled_at_the_service(
    service: Service, stack: AsyncExitStack
) -> None:
    service.options["call_timeout"] = SOON
    backend = await service.open(stack)
    with pytest.raises(TimedOut):
        await backend.file_info(SLOW, ME)
    await happens(service.theirs.cancelled)


async def test_only_so_many_calls_are_under_way_and_the_rest_wait(
    service: Service, stack: AsyncExitStack
) -> None:
    service.options["max_calls"] = 1
    backend = await service.open(stack)
    slow = asyncio.create_task(backend.file_info(SLOW, ME))
    await happens(service.theirs.asked)
    other = asyncio.create_task(backend.file_info(ROOT, ME))
    await asyncio.sleep(0.1)
    assert len(service.theirs.sessions) == 1
    await ended(slow)
    assert (await other).is_dir


async def test_the_session_and_its_trace_reach_the_service(service: Service, stack: AsyncExitStack) -> None:
    backend = await service.open(stack)
    await backend.file_info(ROOT, ME)
    seen = service.theirs.sessions[-1]
    assert (seen.user, seen.peer, seen.client_version, seen.session_id) == (
        *("alice", "192.0.2.1:5", "OpenSSH_9.9", "s-1"),
    )
    assert dict(seen.attributes) == {"tenant": "one"}


@pytest.mark.parametrize(
    ("raised", "seen", "text", "detail"),
    [
        (NoSpace("quota of 5 MB", detail="table 7"), NoSpace, "quota of 5 MB", "table 7"),
        (Changed(), Changed, "file changed while it was in use", None),
        (FileNotFoundError(2, "No such file", "/srv/secret"), NotFound, "no such file or directory", "/srv"),
        (ZeroDivisionError("by zero"), StorageFailure, "storage failure", "ZeroDivisionError: by zero"),
    ],
    ids=["tree", "without words", "OSError", "unknown"],
)
async def test_errors_keep_their_meaning_and_what_the_client_must_not_read_is_detail(
    stack: AsyncExitStack, raised: Exception, seen: type[StorageError], text: str, detail: str | None
) -> None:
    service = Service("socket")
    service.theirs.raises = raised
    backend = await service.open(stack)
    with pytest.raises(seen) as failed:
        await backend.file_info(FILE, ME)
    assert str(failed.value) == text
    assert (detail is None and failed.value.detail is None) or detail in (failed.value.detail or "")


async def test_a_listing_that_is_left_early_ends_at_the_service(
    service: Service, stack: AsyncExitStack
) -> None:
    backend = await service.open(stack)
    for name in (b"a", b"b", b"c", b"d"):
        await backend.write_file(Place((name,)), b"", ME)
    pages: Any = backend.list_dir(ROOT, ME)
    async with aclosing(pages):
        async for _ in pages:
            break
    await happens(service.theirs.left)


async def test_an_upload_whose_begin_is_given_up_is_aborted(service: Service, stack: AsyncExitStack) -> None:
    backend = await service.open(stack)
    beginning = asyncio.create_task(backend.begin_write(SLOW, WriteIntent(), ME))
    await happens(service.theirs.asked)
    await ended(beginning)
    await happens(service.theirs.cancelled)
    await until(lambda: service.theirs.open_uploads == 0)


async def test_an_upload_whose_end_is_given_up_is_aborted_after_it(
    service: Service, stack: AsyncExitStack
) -> None:
    backend = await service.open(stack)
    upload = await backend.begin_write(FILE, WriteIntent(), ME)
    finishing = asyncio.create_task(backend.finish_write(upload, b"hang", Finish(4), ME))
    await happens(service.theirs.asked)
    await ended(finishing)
    await backend.abort_write(upload, ME)
    assert service.theirs.cancelled.is_set()
    assert service.theirs.open_uploads == 0
    with pytest.raises(NotFound):
        await backend.file_info(FILE, ME)


async def test_an_upload_that_was_published_all_the_same_is_not_aborted(
    service: Service, stack: AsyncExitStack
) -> None:
    backend = await service.open(stack)
    upload = await backend.begin_write(FILE, WriteIntent(), ME)
    finishing = asyncio.create_task(backend.finish_write(upload, b"firm", Finish(4), ME))
    await happens(service.theirs.asked)
    await ended(finishing)
    await backend.abort_write(upload, ME)
    assert service.theirs.aborts == 0
    assert (await backend.file_info(FILE, ME)).size == 4


async def test_an_abort_that_is_cut_short_is_made_up_for(service: Service, stack: AsyncExitStack) -> None:
    backend = await service.open(stack)
    upload = await backend.begin_write(FILE, WriteIntent(), ME)
    service.theirs.abort_seconds = 0.2
    aborting = asyncio.create_task(backend.abort_write(upload, ME))
    await until(lambda: service.theirs.aborts == 1)
    await ended(aborting)
    await until(lambda: service.theirs.open_uploads == 0)


async def test_an_upload_that_cannot_begin_says_why_at_once(service: Service, stack: AsyncExitStack) -> None:
    backend = await service.open(stack)
    service.theirs.raises = NoSpace("quota of 5 MB")
    with pytest.raises(NoSpace, match="quota of 5 MB"):
        await backend.begin_write(FILE, WriteIntent(), ME)
    service.theirs.raises = None
    await backend.abort_write(await backend.begin_write(FILE, WriteIntent(), ME), ME)
    assert service.theirs.open_uploads == 0


async def test_a_piece_that_is_too_short_is_an_error_and_never_followed_by_the_next_one() -> None:
    """Pieces are asked for ahead: what comes after one that lacks bytes would be in the wrong place."""
    mailbox = Mailbox({"read_file_range"})
    data = bytes(range(256)) * (4 * PIECE_BYTES // 256)

    async def short_of_the_second() -> None:
        async for call in mailbox:
            start, stop = call.message.start, call.message.stop  # type: ignore[attr-defined]
            call.reply(data[start : stop - (start == PIECE_BYTES)])

    task = asyncio.create_task(short_of_the_second())
    backend, came = complete(mailbox.backend(), SpoolQuota(None, 0)), b""
    with pytest.raises(StorageFailure):
        async for piece in backend.read_file_range(FILE, 0, len(data), None, ME):
            came += piece
    assert came == data[:PIECE_BYTES]
    await ended(task)


async def test_a_listing_whose_reader_left_unheard_is_closed_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first page may cross the news that nobody wants it: then nobody knows the cursor."""
    storage = Odd()
    for name in ("a", "b", "c", "d"):
        storage.put(name, b"")
    answers = Dispatcher(storage)
    await answers.answer(messages.ListDir(ROOT, None, ME))
    monkeypatch.setattr(dispatcher, "_LEFT_SECONDS", -1.0)
    assert not storage.left.is_set()
    await answers.answer(messages.ListDir(ROOT, None, ME))
    assert storage.left.is_set()
    await answers.end()


async def test_when_the_service_ends_calls_fail_at_once_and_uploads_are_aborted(
    service: Service, stack: AsyncExitStack
) -> None:
    service.options["call_timeout"] = timedelta(seconds=60)
    if service.kind == "socket":
        service.options["connect_timeout"] = timedelta(seconds=60)
    backend = await service.open(stack)
    upload = await backend.begin_write(FILE, WriteIntent(), ME)
    await backend.write_chunk(upload, b"1234", ME)
    slow = asyncio.create_task(backend.file_info(SLOW, ME))
    await happens(service.theirs.asked)
    await ended(service.task)
    async with asyncio.timeout(30):  # which a single one that waited for its limit would not keep
        for call in (slow, backend.write_chunk(upload, b"5678", ME), backend.file_info(FILE, ME)):
            with pytest.raises(StorageFailure, match="storage service is not there"):
                await call
        await backend.abort_write(upload, ME)
    assert service.theirs.open_uploads == 0
    assert service.theirs.objects == {}


async def test_a_chunk_in_memory_that_is_used_again_stays_what_it_was(
    service: Service, stack: AsyncExitStack
) -> None:
    """Of a storage that takes several chunks at once some are answered before they are stored."""
    service.theirs.parallel_chunks, service.theirs.latency = 3, 0.05
    backend = await service.open(stack)
    upload = await backend.begin_write(FILE, WriteIntent(), ME)
    memory = bytearray(4)
    for letter in b"abc":
        memory[:] = bytes([letter]) * 4
        await backend.write_chunk(upload, memoryview(memory), ME)
    memory[:] = b"used"
    await backend.finish_write(upload, b"", Finish(12), ME)
    assert bytes(await backend.read_file(FILE, ME)) == b"aaaabbbbcccc"
