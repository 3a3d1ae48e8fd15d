"""One version of a file has one time, in listings and for STAT, whatever was asked before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from pydantic import ValidationError

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.metadata.version_cache import ROWS
from s3sftp.backends.s3.namespace.listing_metadata import PIECE
from s3sftp.backends.s3.worker_tables import WorkerTables
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, PART, Opener, options_for, place
from tests.backends.s3.test_budget import costing
from tests.backends.s3.test_listing import BOTH, fill, listed
from tests.backends.s3.upload_driver import data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Hold
from tests.support.logs import capture_events
from tests.support.s3_client import S3

CERTAIN = 2.1
"""After so long an upload's second is over for certain."""


@pytest.fixture
async def workers(proxied: Store, bucket: str) -> AsyncIterator[list[S3Backend]]:
    """Two workers of one server, which believe nothing that is not certain."""
    descriptor = create_shared_file(ROWS, 2)
    tables = [SharedCounters.shared(descriptor, 2, column) for column in range(2)]
    os.close(descriptor)
    async with AsyncExitStack() as life:
        backends = [
            S3Backend(
                options_for(proxied, bucket, cache_ttl=0, permissions="keep"),
                shared=replace(WorkerTables.of(), versions=table),
            )
            for table in tables
        ]
        for backend in backends:
            life.push_async_callback(backend.stop)
            await backend.start()
        yield backends


async def stored(s3: S3, key: str) -> float:
    """When S3 says that it was uploaded."""
    moment: float = (await s3.head(key))["LastModified"].timestamp()
    return moment


@BOTH
async def test_each_version_is_asked_for_once_by_all_workers_together(
    workers: list[S3Backend], s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/timed", b"x", Metadata={"mtime": "1000.5", "mode": "0100600"})
    await s3.put("tenant/d/plain", b"x")
    await put(workers[0], "d/put", b"x", mtime=2000, mode=0o640)
    await put(workers[0], "d/late", b"x")
    await workers[1].set_attributes(place("d/late"), 3000, 0o644, ALICE)
    await asyncio.sleep(CERTAIN)
    with costing(proxy, ListObjectsV2=1, HeadObject=4):
        first = await listed(workers[0], "d")
    assert {name: (info.mtime, info.mode) for name, info in first.items()} == {
        b"timed": (1000.5, 0o600),
        b"plain": (await stored(s3, "tenant/d/plain"), None),
        b"put": (2000, 0o640),
        b"late": (3000, 0o644),
    }
    for worker in reversed(workers):
        with costing(proxy, ListObjectsV2=1):
            assert await listed(worker, "d") == first
        for name, info in first.items():
            assert await worker.file_info(place(f"d/{name.decode()}"), ALICE) == info


async def test_what_stat_and_open_have_been_told_no_listing_asks_for(
    workers: list[S3Backend], s3: S3, proxy: FaultProxy
) -> None:
    for name in ("looked-at", "opened"):
        await s3.put(f"tenant/d/{name}", b"x", Metadata={"mtime": "1000"})
    await asyncio.sleep(CERTAIN)
    await workers[0].file_info(place("d/looked-at"), ALICE)
    _, beginning = await workers[0].open_file(place("d/opened"), 1, ALICE)
    await beginning.aclose()  # type: ignore[union-attr]
    with costing(proxy, ListObjectsV2=1):
        assert {info.mtime for info in (await listed(workers[1], "d")).values()} == {1000}


async def test_another_version_is_asked_for_also_of_the_same_bytes(
    workers: list[S3Backend], s3: S3, proxy: FaultProxy
) -> None:
    for mtime in ("1000", "2000"):
        await s3.put("tenant/d/f", b"x", Metadata={"mtime": mtime})
        await asyncio.sleep(CERTAIN)
        with costing(proxy, ListObjectsV2=1, HeadObject=1):
            assert (await listed(workers[0], "d"))[b"f"].mtime == float(mtime)


@BOTH
async def test_a_file_whose_client_gave_no_time_has_the_same_for_everybody_and_when_it_is_renamed(
    open_backend: Opener,
) -> None:
    backend, other = await open_backend(), await open_backend()
    info = await put(backend, "d/f", b"x")
    assert await backend.file_info(place("d/f"), ALICE) == info
    await backend.rename(place("d/f"), place("d/g"), ALICE, overwrite=False)
    shown = (await listed(backend, "d"))[b"g"]
    assert shown == await other.file_info(place("d/g"), ALICE) == (await listed(other, "d"))[b"g"]
    assert shown.mtime == info.mtime


async def test_a_marker_is_asked_for_once_and_again_when_the_directory_is_another(
    workers: list[S3Backend], s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/")
    await fill(s3, "tenant/implied/x")
    with costing(proxy, ListObjectsV2=3):
        shown = await listed(workers[0], "")
    assert shown == {
        b"d": FileInfo.directory(await stored(s3, "tenant/d/")),
        b"implied": FileInfo.directory(),
    }
    with costing(proxy, ListObjectsV2=1):
        assert await listed(workers[1], "") == shown
    await asyncio.sleep(1.1)
    await workers[1].del_dir(place("d"), ALICE)
    await workers[1].make_dir(place("d"), ALICE)
    assert (await listed(workers[0], ""))[b"d"].mtime == await stored(s3, "tenant/d/")


@pytest.mark.parametrize(
    "fault",
    [Answer(404, "NoSuchKey"), Answer(403, "AccessDenied"), Answer(500, "InternalError")],
    ids=["gone", "denied", "broken"],
)
async def test_what_cannot_be_asked_for_does_not_fail_the_listing_and_is_not_remembered(
    open_backend: Opener, s3: S3, proxy: FaultProxy, fault: Answer
) -> None:
    backend = await open_backend(cache_ttl=0, attempts=1)
    for name in ("a", "b", "c"):
        await s3.put(f"tenant/d/{name}", b"x", Metadata={"mtime": "1000"})
    await asyncio.sleep(CERTAIN)
    proxy.on("HeadObject", do=fault, key="/b$")
    shown = await listed(backend, "d")
    assert sorted(shown) == [b"a", b"b", b"c"]
    assert shown[b"b"].mtime == await stored(s3, "tenant/d/b")
    proxy.clear()
    assert {info.mtime for info in (await listed(backend, "d")).values()} == {1000}


async def test_where_looking_is_denied_a_listing_stops_asking_and_says_what_would_help(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend()
    await fill(s3, *(f"tenant/d/{number:03}" for number in range(200)))
    proxy.on("HeadObject", do=Answer(403, "AccessDenied"))
    with capture_events() as log:
        assert len(await listed(backend, "d")) == 200
    assert proxy.log.count("HeadObject") < 100
    assert [event["advice"] for event in log if event["event"] == "listing.mtimes_unavailable"] == [
        "files show the time of their upload; allow s3:GetObject, or set s3.times = 'stored'"
    ]


async def test_the_first_names_do_not_wait_for_a_whole_page_and_who_leaves_stops_the_asking(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend()
    await fill(s3, *(f"tenant/d/{number:03}" for number in range(350)))
    later = proxy.on("HeadObject", do=Hold(), skip=PIECE)
    pages = backend.list_dir(place("d"), ALICE)
    assert len(await anext(pages)) == PIECE
    await later.reached()
    await pages.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(30):
        while proxy.running():
            await asyncio.sleep(0.01)
    assert proxy.log.count("HeadObject") <= 2 * PIECE


async def test_listings_that_ask_leave_connections_to_all_else(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(max_connections=16)
    await fill(s3, *(f"tenant/d{number}/{name}" for number in range(5) for name in range(30)), "tenant/f")
    held = proxy.on("HeadObject", do=Hold(), key="/d[0-9]/")
    listings = [asyncio.create_task(listed(backend, f"d{number}")) for number in range(5)]
    await held.reached(4)
    assert (await backend.file_info(place("f"), ALICE)).size == 1
    assert held.hits == 4
    held.release()
    assert [len(shown) for shown in await asyncio.gather(*listings)] == [30] * 5


@BOTH
async def test_with_stored_times_s3s_time_is_said_everywhere_and_a_listing_is_a_list(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(times="stored", cache_ttl=0.001)
    await s3.put("tenant/d/rclone", b"x", Metadata={"mtime": "1000"})
    await s3.put("tenant/d/made/")
    await put(backend, "d/put", b"x", mtime=1000)
    await put(backend, "d/large", data_of(2 * PART), mtime=1000)
    assert not await backend.set_mtime(place("d/put"), 2000, ALICE)
    await asyncio.sleep(1.1)
    with costing(proxy, ListObjectsV2=1):
        shown = await listed(backend, "d")
    assert shown.pop(b"made") == await backend.file_info(place("d/made"), ALICE) == FileInfo.directory()
    for name, info in shown.items():
        head = await s3.head(f"tenant/d/{name.decode()}")
        assert info.mtime == head["LastModified"].timestamp()
        assert info == await backend.file_info(place(f"d/{name.decode()}"), ALICE)
        assert "mtime" not in head["Metadata"] or name == b"rclone"
    info, beginning = await (await open_backend(times="stored")).open_file(place("d/rclone"), 1, ALICE)
    await beginning.aclose()  # type: ignore[union-attr]
    assert info == shown[b"rclone"]


async def test_with_stored_times_stat_right_after_an_upload_says_what_listings_will(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(times="stored", cache_ttl=60)
    await put(backend, "f", b"x", mtime=1000)
    with costing(proxy, HeadObject=1):
        assert (await backend.recent_info(place("f"), ALICE)).mtime == await stored(s3, "tenant/f")


def test_stored_times_and_permissions_that_are_kept_do_not_go_together(seaweed: Store) -> None:
    with pytest.raises(ValidationError, match="needs times = 'kept'"):
        options_for(seaweed, "b", times="stored", permissions="keep")
