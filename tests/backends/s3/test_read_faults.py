"""A reader gets the bytes of one version, all of them, or an error: never a short end, never a mix."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import Busy, Changed, NotFound, StorageFailure
from s3sftp.telemetry import Costs, charging
from tests.backends.s3.conftest import ALICE, Opener, place
from tests.backends.s3.upload_driver import data_of, get, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, CutBody, LoseReply, Meanwhile, Reset, StallBody
from tests.support.s3_client import S3

DATA = data_of(1 << 20, seed=1)


@pytest.fixture
async def version(s3: S3) -> str:
    return await s3.put("tenant/f", DATA)


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("version_known", [True, False])
async def test_a_body_that_is_cut_is_continued(
    backend: S3Backend, proxy: FaultProxy, version: str, reset: bool, version_known: bool
) -> None:
    proxy.on("GetObject", do=CutBody(300_000, reset=reset), times=3)
    with charging(Costs()) as costs:
        assert await get(backend, "f", 10, len(DATA) - 5, version if version_known else None) == DATA[10:-5]
    requests = proxy.log.of("GetObject")
    assert len(requests) == 4
    assert {request.headers.get("if-match") for request in requests[1:]} == {version}
    assert costs.retries == 3


@pytest.mark.parametrize("fault", [CutBody(0), CutBody(0, reset=True), Reset()])
async def test_a_body_that_never_comes_is_an_error_and_not_an_end(
    backend: S3Backend, proxy: FaultProxy, version: str, fault: CutBody
) -> None:
    proxy.on("GetObject", do=fault)
    with pytest.raises(StorageFailure):
        await get(backend, "f", 0, len(DATA), version)


async def test_a_body_that_only_trickles_is_an_error_in_the_end(
    backend: S3Backend, proxy: FaultProxy, version: str
) -> None:
    rule = proxy.on("GetObject", do=CutBody(1000))
    with pytest.raises(StorageFailure):
        await get(backend, "f", 0, len(DATA), version)
    assert rule.hits <= backend.options.attempts


async def test_what_came_before_the_error_is_right(
    backend: S3Backend, proxy: FaultProxy, version: str
) -> None:
    proxy.on("GetObject", do=CutBody(100_000), times=1)
    proxy.on("GetObject", do=Answer(503, "SlowDown"))
    got = b""
    with pytest.raises(Busy):
        async for piece in backend.read_file_range(place("f"), 0, len(DATA), version, ALICE):
            got += piece
    assert got == DATA[:100_000]


async def test_a_body_that_stalls_is_asked_for_again_while_others_are_answered(
    open_backend: Opener, proxy: FaultProxy, version: str
) -> None:
    backend = await open_backend(stall_timeout=timedelta(seconds=2))
    stalled = proxy.on("GetObject", do=StallBody(200_000), times=1)
    reading = asyncio.create_task(get(backend, "f", 0, len(DATA), version))
    await stalled.reached()
    assert (await backend.file_info(place("f"), ALICE)).size == len(DATA)
    assert await reading == DATA
    assert proxy.log.count("GetObject") == 2


@pytest.mark.parametrize(
    "fault", [Answer(503, "SlowDown"), Answer(500, "InternalError"), Reset(), LoseReply()]
)
async def test_a_passing_fault_is_not_seen(
    backend: S3Backend, proxy: FaultProxy, version: str, fault: Answer
) -> None:
    proxy.on("GetObject", "HeadObject", "ListObjectsV2", do=fault, times=2)
    assert await get(backend, "f", 0, len(DATA), version) == DATA


async def test_a_file_replaced_in_mid_read_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy, version: str
) -> None:
    proxy.on("GetObject", do=CutBody(100_000), times=1)
    proxy.on("GetObject", do=Meanwhile(lambda: s3.put("tenant/f", bytes(len(DATA)))), times=1)
    got = b""
    with pytest.raises(Changed):
        async for piece in backend.read_file_range(place("f"), 0, len(DATA), None, ALICE):
            got += piece
    assert got == DATA[:100_000]


async def test_another_version_than_the_reader_opened_is_an_error(
    backend: S3Backend, s3: S3, version: str
) -> None:
    await s3.put("tenant/f", bytes(len(DATA)))
    with pytest.raises(Changed):
        await get(backend, "f", 0, 10, version)


async def test_a_file_that_is_gone_is_not_found(backend: S3Backend, s3: S3, version: str) -> None:
    await s3.delete("tenant/f")
    with pytest.raises((NotFound, Changed)):
        await get(backend, "f", 0, 10, version)
    with pytest.raises(NotFound):
        await get(backend, "f", 0, 10)


@pytest.mark.parametrize(("start", "stop"), [(0, 2 << 20), (1 << 20, 2 << 20), (5, (1 << 20) + 1)])
async def test_a_range_beyond_the_end_is_an_error_and_not_short(
    backend: S3Backend, version: str, start: int, stop: int
) -> None:
    with pytest.raises(Changed):
        await get(backend, "f", start, stop)


async def test_a_reader_that_leaves_gives_its_connection_back(open_backend: Opener, version: str) -> None:
    backend = await open_backend(max_connections=1)
    for _ in range(3):
        async with aclosing(backend.read_file_range(place("f"), 0, len(DATA), version, ALICE)) as pieces:  # type: ignore[type-var]
            await anext(pieces)
    assert await get(backend, "f", 0, len(DATA), version) == DATA


async def test_a_reader_that_is_cancelled_gives_its_connection_back(
    open_backend: Opener, proxy: FaultProxy, version: str
) -> None:
    backend = await open_backend(max_connections=1)
    stalled = proxy.on("GetObject", do=StallBody(1000), times=1)
    reading = asyncio.create_task(get(backend, "f", 0, len(DATA), version))
    await stalled.reached()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert await get(backend, "f", 0, len(DATA), version) == DATA


async def test_waiting_for_a_connection_ends_with_the_deadline(
    open_backend: Opener, proxy: FaultProxy, version: str
) -> None:
    backend = await open_backend(max_connections=1, metadata_timeout=timedelta(seconds=2), attempts=1)
    pieces = backend.read_file_range(place("f"), 0, len(DATA), version, ALICE)
    proxy.on("GetObject", do=StallBody(200_000))
    await anext(pieces)
    with pytest.raises(StorageFailure.__mro__[1], match="in time"):
        await backend.file_info(place("other"), ALICE)
    await pieces.aclose()  # type: ignore[attr-defined]
    assert (await backend.file_info(place("f"), ALICE)).size == len(DATA)


async def test_reads_of_a_file_that_was_just_written(backend: S3Backend) -> None:
    info = await put(backend, "g", DATA)
    assert await get(backend, "g", 0, len(DATA), info.version) == DATA
    assert await backend.read_file(place("g"), ALICE) == DATA


async def test_readers_that_stand_still_leave_connections_for_all_else(
    open_backend: Opener, proxy: FaultProxy, version: str
) -> None:
    backend = await open_backend(max_connections=4, metadata_timeout=timedelta(seconds=3))
    stalled = proxy.on("GetObject", do=StallBody(300_000))
    async with AsyncExitStack() as readers:
        for _ in range(3):
            pieces = backend.read_file_range(place("f"), 0, len(DATA), version, ALICE)
            await anext(await readers.enter_async_context(aclosing(pieces)))  # type: ignore[type-var]
        with pytest.raises(Busy):
            await get(backend, "f", 0, 10, version)
        assert stalled.hits == 3
        assert (await backend.file_info(place("f"), ALICE)).size == len(DATA)
        await put(backend, "g", b"x")
        assert await names(backend, "") == [b"f", b"g"]
    stalled.release()
    assert await get(backend, "f", 0, len(DATA), version) == DATA


async def test_a_reader_that_met_another_version_learns_of_it_at_the_next_try(
    open_backend: Opener, s3: S3, version: str
) -> None:
    backend = await open_backend(cache_ttl=timedelta(seconds=60))
    assert (await backend.file_info(place("f"), ALICE)).version == version
    await s3.put("tenant/f", b"another")
    with pytest.raises(Changed):
        await get(backend, "f", 0, 10, version)
    assert await backend.read_file(place("f"), ALICE) == b"another"
    await s3.delete("tenant/f")
    with pytest.raises((NotFound, Changed)):
        await backend.read_file(place("f"), ALICE)
    with pytest.raises(NotFound):
        await backend.file_info(place("f"), ALICE)
