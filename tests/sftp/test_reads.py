"""READs of an open file: no task for each, but all that a request has: order, status, span, costs, an end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import NoReturn, cast

import asyncssh
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from s3sftp.backends import FileInfo, Place, Session
from s3sftp.backends.contract import Buffer
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageFailure
from s3sftp.fs import OpenReader
from s3sftp.sftp import SftpOptions, SftpSession
from s3sftp.sftp.request import Request
from s3sftp.sftp.request_runner import RequestRunner
from s3sftp.telemetry import charge, span
from s3sftp.telemetry.options import TracingOptions
from testbed.packets import DATA, FAILURE, OPEN, READ, STAT, STATUS, R, read_string, string, u32, u64
from testbed.raw_client import RawSftpClient, Reply
from tests.sftp.session_server import Serving, serving
from tests.support.logs import Level

pytestmark = pytest.mark.usefixtures("log_level")

KIB, MIB = 1 << 10, 1 << 20
CONTENTS = bytes(range(256)) * (16 * KIB)


class Gated(MemoryBackend):
    """Ranges wait until they are let go, and are accounted as S3's are. Counts those that were asked for."""

    def __init__(self) -> None:
        super().__init__({"f": CONTENTS, "other": b"other"})
        self.let_go = asyncio.Event()
        self.ranges: list[tuple[int, int]] = []

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        self.ranges.append((start, stop))
        with span("GetObject"):
            charge("GetObject")
            await self.let_go.wait()
            async for piece in super().read_file_range(place, start, stop, version, session):
                yield piece


def ask(client: RawSftpClient, handle: bytes, at: int, length: int) -> asyncio.Future[Reply]:
    return client.request(READ, string(handle) + u64(at) + u32(length))


def data_of(reply: Reply) -> bytes:
    assert reply.kind == DATA
    return read_string(reply.body, 0)[0]


async def until_all_ranges_are_asked_for(backend: Gated, count: int) -> None:
    async with asyncio.timeout(20):
        while len(backend.ranges) < count:
            await asyncio.sleep(0.01)


async def test_reads_that_wait_have_no_task_and_their_ranges_run_at_once() -> None:
    backend = Gated()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        offsets = [3 * MIB, MIB, 2 * MIB, 5000]
        before = asyncio.all_tasks()
        reads = [ask(client, handle, at, 1000) for at in offsets]
        await until_all_ranges_are_asked_for(backend, 4)
        assert backend.ranges == [(at, at + 1000) for at in offsets]
        assert len(asyncio.all_tasks() - before) == 4, "one for each range"
        backend.let_go.set()
        assert [data_of(await read) for read in reads] == [CONTENTS[at : at + 1000] for at in offsets]
        await client.close(handle)


async def test_at_info_a_read_of_bytes_that_are_here_is_answered_as_it_arrives_at_debug_each_is_a_request(
    log_level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted: Counter[str] = Counter()
    admit = RequestRunner.admit

    def counting(runner: RequestRunner, request: Request) -> None:
        admitted[request.name] += 1
        admit(runner, request)

    monkeypatch.setattr(RequestRunner, "admit", counting)
    async with serving(MemoryBackend({"f": bytes(MIB)})) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        for at in range(0, MIB, 32 * KIB):
            assert len(data_of(await ask(client, handle, at, 32 * KIB))) == 32 * KIB
        await client.close(handle)
    assert admitted["READ"] == {"info": 1, "debug": 32}[log_level]


async def test_a_read_that_could_be_answered_waits_for_those_before_it() -> None:
    backend = Gated()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        order: list[str] = []
        for name, at in (("waits", 0), ("beyond the end", len(CONTENTS)), ("waits too", 9)):
            ask(client, handle, at, 9).add_done_callback(lambda _, name=name: order.append(name))
        await until_all_ranges_are_asked_for(backend, 1)
        await client.stat(b"/f")
        assert order == []
        backend.let_go.set()
        await client.close(handle)
        assert order == ["waits", "beyond the end", "waits too"]


async def test_reads_of_the_same_bytes_are_each_answered_in_full() -> None:
    backend = Gated()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        reads = [ask(client, handle, 0, 64 * KIB) for _ in range(5)]
        await until_all_ranges_are_asked_for(backend, 1)
        backend.let_go.set()
        assert {data_of(await read) for read in reads} == {CONTENTS[: 64 * KIB]}
        await client.close(handle)


async def test_a_range_that_fails_fails_its_reads_and_no_others() -> None:
    backend = Gated()
    failing = True

    def fail(method: str, place: Place) -> None:
        if failing and method == "read_file_range" and place.name == b"f":
            raise StorageFailure("no")

    backend.fail = fail
    async with serving(backend) as server, server.client() as client:
        handle, other = await client.open(b"/f", R), await client.open(b"/other", R)
        reads = [ask(client, handle, at, 100) for at in (2 * MIB, MIB)]
        of_other = ask(client, other, 0, 5)
        await until_all_ranges_are_asked_for(backend, 3)
        backend.let_go.set()
        assert [(reply.kind, reply.code) for reply in [await read for read in reads]] == [
            (STATUS, FAILURE)
        ] * 2
        assert data_of(await of_other) == b"other"
        failing = False
        assert await client.read(handle, MIB, 100) == CONTENTS[MIB : MIB + 100]
        await client.close(handle)
        await client.close(other)


@pytest.mark.parametrize("where", ["expect", "collect", "try_read"])
async def test_an_unforeseen_error_is_answered_with_a_reference_in_its_turn(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Gated()
    async with serving(backend) as server, server.client() as client:
        handle = await client.open(b"/f", R)
        first = ask(client, handle, MIB, 10)
        await until_all_ranges_are_asked_for(backend, 1)

        def broken(*_: object) -> NoReturn:
            raise RuntimeError("secret")

        (opened,) = [each.opened for each in server.sessions[-1]._handles.all()]
        with monkeypatch.context() as patch:
            if where == "expect":
                patch.setattr(opened, where, broken)
            else:
                backend.let_go.set()
                await first
                patch.setattr(OpenReader, where, broken)
            second = ask(client, handle, 2 * MIB, 10)
            await client.stat(b"/f")
            backend.let_go.set()
            assert (await first).kind == DATA
            assert read_string((await second).body, 4)[0].startswith(b"Failure: internal error, reference ")
        assert await client.read(handle, 7, 9) == CONTENTS[7:16]
        assert await client.read(handle, 16, 9) == CONTENTS[16:25]
        await client.close(handle)
        server.internal_errors.clear()


async def test_a_session_that_ends_forgets_reads_that_wait() -> None:
    backend = Gated()
    async with serving(backend) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", R)
            for at in range(0, MIB, 32 * KIB):
                ask(client, handle, at, 32 * KIB)
            await until_all_ranges_are_asked_for(backend, 1)
            client.connection.abort()
            await client.ended()
        await server.lets_everything_go()
        assert len(server.sessions[-1]._runner) == 0


class NeverTold(Gated):
    """Whoever looks at `missing` waits for good."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.name != b"missing":
            return await super().file_info(place, session)
        self.waiting += 1
        try:
            return await asyncio.Future[FileInfo]()
        finally:
            self.waiting -= 1


async def test_a_session_that_ends_while_reads_wait_stops_what_runs_beside_them() -> None:
    """With or without a line in the log, and a span, for each READ."""
    backend = NeverTold()
    async with serving(backend) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", R)
            for at in (MIB, 2 * MIB):
                ask(client, handle, at, 1000)
            await until_all_ranges_are_asked_for(backend, 2)
            client.request(STAT, string(b"/missing"))
            async with asyncio.timeout(20):
                while not backend.waiting:
                    await asyncio.sleep(0.01)
            client.connection.abort()
            await client.ended()
        await server.lets_everything_go()
        assert backend.waiting == 0
        assert len(server.sessions[-1]._runner) == 0


class TakesAll:
    """A channel that sends at once whatever it is given."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def get_write_buffer_size(self) -> int:
        return 0

    def writelines(self, pieces: list[bytes]) -> None:
        self.sent += b"".join(pieces)

    def get_extra_info(self, name: str) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def exit(self, status: int) -> None: ...


async def test_reads_for_which_room_comes_only_by_answers_that_leave_at_once_are_all_answered() -> None:
    """Nothing else happens then that could make the session go on: no byte comes, no window opens."""
    block, options = 200 * KIB, SftpOptions(send_buffer_bytes=512 * KIB)
    async with serving(MemoryBackend({"f": CONTENTS})) as server:
        session, channel = SftpSession(server.files("alice"), options), TakesAll()
        session.connection_made(cast("asyncssh.SSHServerChannel[bytes]", channel))

        async def answers(count: int, *requests: bytes) -> bytes:
            channel.sent.clear()
            session.data_received(b"".join(map(string, requests)), None)
            async with asyncio.timeout(20):
                while len(channel.sent) < count:
                    await asyncio.sleep(0.01)
            return bytes(channel.sent)

        await answers(9, bytes([1]) + u32(3))
        handle = (await answers(17, bytes([OPEN]) + u32(0) + string(b"/f") + u32(R) + u32(0)))[-4:]
        head_bytes = 13

        async def read(first: int, count: int) -> None:
            offsets = range(first * block, (first + count) * block, block)
            reads = [bytes([READ]) + u32(at) + string(handle) + u64(at) + u32(block) for at in offsets]
            got = await answers(count * (head_bytes + block), *reads)
            for at in offsets:
                answer, got = got[: head_bytes + block], got[head_bytes + block :]
                assert answer[5:9] == u32(at)
                assert answer[head_bytes:] == CONTENTS[at : at + block]

        for number in range(4):
            await read(number, 1)
        await asyncio.sleep(0.1)  # what comes ahead is here
        await read(4, 12)
        await session.end("enough")


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans that have ended, with tracing on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [each for each in exporter.get_finished_spans() if each.name == name]


def costs_of(each: ReadableSpan) -> object:
    return (each.attributes or {}).get("s3sftp.s3_requests")


async def read_apart_and_in_a_row(server: Serving, backend: Gated) -> None:
    """Two READs that wait for a range each, and two more of bytes that are here then."""
    async with server.client() as client:
        handle = await client.open(b"/f", R)
        waiting = [ask(client, handle, at, 1000) for at in (MIB, 3 * MIB)]
        await until_all_ranges_are_asked_for(backend, 2)
        backend.let_go.set()
        for read in waiting:
            await read
        assert await client.read(handle, 0, 1000) == CONTENTS[:1000]
        assert await client.read(handle, 1000, 1000) == CONTENTS[1000:2000]
        await client.close(handle)


EACH = TracingOptions(reads_and_writes="each")


async def test_each_read_may_have_one_span_with_the_number_of_its_requests(
    finished: InMemorySpanExporter,
) -> None:
    backend = Gated()
    async with serving(backend, tracing=EACH) as server:
        await read_apart_and_in_a_row(server, backend)
    reads = named(finished, "sftp.READ")
    assert len(reads) == 4
    assert [costs_of(each) for each in reads[:2]] == [1, 1]
    assert {(each.attributes or {})["file.path"] for each in reads} == {"/f"}
    (download,) = (each for each in finished.get_finished_spans() if each.name == "sftp.download")
    # a range serves many READs, so it belongs to none of them
    parents = Counter(each.parent.span_id for each in named(finished, "GetObject") if each.parent)
    assert parents == {download.get_span_context().span_id: len(backend.ranges)}


async def test_the_span_of_a_read_that_is_never_answered_ends_with_its_session(
    finished: InMemorySpanExporter,
) -> None:
    backend = Gated()
    async with serving(backend, tracing=EACH) as server:
        async with server.client() as client:
            handle = await client.open(b"/f", R)
            for at in (MIB, 3 * MIB):
                ask(client, handle, at, 1000)
            await until_all_ranges_are_asked_for(backend, 2)
            client.connection.abort()
            await client.ended()
        await server.lets_everything_go()
    assert len(named(finished, "sftp.READ")) == 2
