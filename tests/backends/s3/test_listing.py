"""Listings are complete or an error, a page at a time, each name once."""

from __future__ import annotations

import asyncio
import os

import pytest

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import Busy, NotADirectory, NotFound, StorageFailure
from tests.backends.s3.conftest import ALICE, Opener, place
from tests.backends.s3.upload_driver import names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, CutBody, Hold, Reset
from tests.support.logs import capture_events
from tests.support.s3_client import S3

BOTH = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)


async def fill(s3: S3, *keys: str) -> None:
    gate = asyncio.Semaphore(32)

    async def make(key: str) -> None:
        async with gate:
            await s3.put(key, b"x")

    await asyncio.gather(*map(make, keys))


async def kinds(backend: S3Backend, path: str) -> list[tuple[bytes, bool]]:
    pages = backend.list_dir(place(path), ALICE)
    return sorted([(entry.name, entry.info.is_dir) async for page in pages for entry in page])


@BOTH
async def test_files_directories_and_no_marker(backend: S3Backend, s3: S3) -> None:
    await fill(
        s3, "tenant/d/", "tenant/d/file", "tenant/d/sub/x", "tenant/d/made/", "tenant/dd", "tenant2/d/y"
    )
    assert await kinds(backend, "d") == [(b"file", False), (b"made", True), (b"sub", True)]
    assert await kinds(backend, "") == [(b"d", True), (b"dd", False)]
    assert await kinds(backend, "d/made") == []


@BOTH
async def test_a_name_that_is_file_and_directory_is_listed_once_and_is_the_file(
    backend: S3Backend, s3: S3
) -> None:
    for key in ("tenant/a", "tenant/a/below", "tenant/a-b"):  # SeaweedFS minds the order
        await fill(s3, key)
    assert await kinds(backend, "") == [(b"a", False), (b"a-b", False)]
    assert not (await backend.file_info(place("a"), ALICE)).is_dir
    assert await names(backend, "a") == [b"below"]
    await backend.delete(place("a"), ALICE)
    assert await kinds(backend, "") == [(b"a", True), (b"a-b", False)]
    assert (await backend.file_info(place("a"), ALICE)).is_dir


@pytest.mark.usefixtures("small_pages")
async def test_the_twin_is_noticed_across_a_page_too(backend: S3Backend, s3: S3) -> None:
    between = [f"tenant/a-{number:04}" for number in range(12)]
    await fill(s3, "tenant/a", *between, "tenant/a/below", "tenant/b/c")
    listed = await kinds(backend, "")
    assert len(listed) == 14
    assert listed[0] == (b"a", False)
    assert listed[-1] == (b"b", True)


@pytest.mark.parametrize("store", ["moto"], indirect=True)
async def test_keys_that_no_name_leads_to_are_not_shown(backend: S3Backend, s3: S3) -> None:
    await fill(
        s3, "tenant/ok", "tenant//double", "tenant/../up", "tenant/a\\b", "tenant/\uf761", "tenant/./x"
    )
    with capture_events() as log:
        assert await names(backend, "") == [b"ok"]
    assert [event["count"] for event in log if event["event"] == "listing.keys_skipped"] == [5]
    assert await names(backend, "") == [b"ok"]


@pytest.mark.parametrize("store", ["moto"], indirect=True)
@pytest.mark.parametrize(
    "name", [b"a\\b", b"a\nb\r", b"\x01\x7f", b"\xff\xfe", "\ufffe\uf761".encode(), b" a+%41 ", b"x" * 255]
)
async def test_odd_names_survive(backend: S3Backend, name: bytes) -> None:
    where = place("d").child(name)
    await backend.write_file(where, b"odd", ALICE)
    assert await names(backend, "d") == [name]
    assert (await backend.file_info(where, ALICE)).size == 3
    await backend.rename(where, place("d/plain"), ALICE, overwrite=False)
    await backend.rename(place("d/plain"), where, ALICE, overwrite=False)
    assert await backend.read_file(where, ALICE) == b"odd"
    await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    assert await names(backend, "e") == [name]


@BOTH
async def test_what_cannot_be_listed_says_why(backend: S3Backend, s3: S3) -> None:
    await fill(s3, "tenant/file")
    with pytest.raises(NotFound):
        await names(backend, "nothing")
    with pytest.raises(NotADirectory):
        await names(backend, "file")
    assert await names(backend, "") == [b"file"]


async def test_an_empty_root_is_a_directory(backend: S3Backend) -> None:
    assert await names(backend, "") == []


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    "fault", [Answer(503, "SlowDown"), CutBody(100), Reset()], ids=["503", "cut", "reset"]
)
async def test_a_passing_fault_is_not_seen_and_a_lasting_one_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy, fault: Answer
) -> None:
    keys = [f"tenant/{number:04}" for number in range(8)]
    await fill(s3, *keys)
    passing = proxy.on("ListObjectsV2", do=fault, skip=1, times=1)
    assert len(await names(backend, "")) == 8
    assert passing.hits == 1
    proxy.on("ListObjectsV2", do=fault, skip=1, query="continuation-token")
    proxy.on("ListObjectsV2", do=fault, query="continuation-token")
    seen = 0
    with pytest.raises((Busy, StorageFailure)):
        async for page in backend.list_dir(place(""), ALICE):
            seen += len(page)
    assert seen == 5


@pytest.mark.usefixtures("small_pages")
async def test_the_next_page_is_under_way_while_one_is_read_and_leaving_stops_it(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3, *(f"tenant/{number:04}" for number in range(12)))
    ahead = proxy.on("ListObjectsV2", do=Hold(), query="continuation-token")
    pages = backend.list_dir(place(""), ALICE)
    assert len(await anext(pages)) == 5
    await ahead.reached()
    await pages.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(30):
        while proxy.running():
            await asyncio.sleep(0.01)
    assert proxy.log.count("ListObjectsV2") == 2


async def test_a_listing_after_a_put_shows_the_time_that_the_client_gave(backend: S3Backend) -> None:
    await put(backend, "d/f", b"x", mtime=1000.5)
    [page] = [page async for page in backend.list_dir(place("d"), ALICE)]
    assert page[0].info == await backend.file_info(place("d/f"), ALICE)
    assert page[0].info.mtime == 1000.5


async def listed(backend: S3Backend, path: str) -> dict[bytes, FileInfo]:
    pages = backend.list_dir(place(path), ALICE)
    return {entry.name: entry.info async for page in pages for entry in page}


@BOTH
async def test_a_directory_has_the_time_of_its_marker(backend: S3Backend, s3: S3) -> None:
    await fill(s3, "tenant/implied/x")
    await s3.put("tenant/d/")
    made = (await s3.head("tenant/d/"))["LastModified"].timestamp()
    assert (await backend.file_info(place("d"), ALICE)).mtime == made
    assert (await backend.file_info(place("implied"), ALICE)).mtime is None


async def test_a_directory_s_time_stays_when_what_is_known_of_it_has_expired(
    open_backend: Opener, s3: S3
) -> None:
    backend = await open_backend(cache_ttl=0.001)
    await backend.make_dir(place("made"), ALICE)
    await s3.put("tenant/looked-at/")
    await s3.put("tenant/opened/")
    await fill(s3, "tenant/implied/x")
    await backend.file_info(place("looked-at"), ALICE)
    await listed(backend, "opened")
    for _ in range(2):
        for name, info in (await listed(backend, "")).items():
            assert info == await backend.file_info(place(name.decode()), ALICE)
            assert (info.mtime is None) == (name == b"implied")
            await asyncio.sleep(0.002)


@BOTH
async def test_a_file_s_time_stays_when_what_is_known_of_it_has_expired(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(cache_ttl=0.001, permissions="keep")
    await put(backend, "d/put", b"x", mtime=1000, mode=0o600)
    await put(backend, "d/late", b"x")
    await backend.set_mtime(place("d/late"), 1000, ALICE)
    await s3.put("tenant/d/looked-at", b"x", Metadata={"mtime": "1000"})
    await s3.put("tenant/d/opened", b"x", Metadata={"mtime": "1000"})
    await backend.file_info(place("d/looked-at"), ALICE)
    _, beginning = await backend.open_file(place("d/opened"), 1, ALICE)
    await beginning.aclose()  # type: ignore[union-attr]
    for _ in range(2):
        await asyncio.sleep(0.002)
        shown = await listed(backend, "d")
        assert {info.mtime for info in shown.values()} == {1000}
        assert shown[b"put"].mode == 0o600
        for name, info in shown.items():
            assert info == await backend.file_info(place(f"d/{name.decode()}"), ALICE)


@BOTH
async def test_what_others_write_has_its_own_time(open_backend: Opener, s3: S3) -> None:
    """Also the very same bytes: the ETag does not tell, the time of the upload does."""
    backend = await open_backend(cache_ttl=0.001)
    await put(backend, "d/f", b"x", mtime=1000)
    await asyncio.sleep(2.1)  # the times of uploads are told in seconds
    await s3.put("tenant/d/f", b"x")
    uploaded = (await s3.head("tenant/d/f"))["LastModified"].timestamp()
    assert int((await listed(backend, "d"))[b"f"].mtime or 0) == int(uploaded)


async def test_a_directory_has_its_time_whether_or_not_a_listing_told_of_it_before(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/")
    await fill(s3, "tenant/implied/x")
    backend = await open_backend(cache_ttl=60)
    for name, time in (("d", (await s3.head("tenant/d/"))["LastModified"].timestamp()), ("implied", None)):
        await listed(backend, "")
        proxy.log.clear()
        for _ in range(2):
            assert (await backend.recent_info(place(name), ALICE)).mtime == time
            assert (await listed(backend, ""))[name.encode()].mtime == time
        assert dict(proxy.log.by_api()) == {"ListObjectsV2": 3}  # one of them for STAT


async def test_the_time_of_another_marker_is_seen_by_stat_and_from_then_on(
    open_backend: Opener, s3: S3
) -> None:
    backend = await open_backend(cache_ttl=0.001)
    await backend.make_dir(place("d"), ALICE)
    await asyncio.sleep(1.1)  # so long that the next one is of another second
    await s3.put("tenant/d/")
    made = (await s3.head("tenant/d/"))["LastModified"].timestamp()
    await listed(backend, "")
    assert (await backend.file_info(place("d"), ALICE)).mtime == made
    await asyncio.sleep(0.002)
    assert (await listed(backend, ""))[b"d"].mtime == made


async def test_a_directory_of_a_listing_that_became_a_file_is_one(open_backend: Opener, s3: S3) -> None:
    await fill(s3, "tenant/d/x")
    backend = await open_backend(cache_ttl=60)
    await listed(backend, "")
    await s3.delete("tenant/d/x")
    await fill(s3, "tenant/d")
    assert (await backend.recent_info(place("d"), ALICE)).size == 1


async def test_with_the_cache_off_a_file_has_one_time_too(open_backend: Opener) -> None:
    backend = await open_backend(cache_ttl=0)
    await put(backend, "d/f", b"x", mtime=1000)
    for _ in range(2):
        assert (await listed(backend, "d"))[b"f"].mtime == 1000
        assert (await backend.file_info(place("d/f"), ALICE)).mtime == 1000


async def test_what_another_worker_set_within_the_second_is_seen_by_a_listing(open_backend: Opener) -> None:
    """The ETag stays the same, and so may the time of the upload."""
    first, second = [await open_backend(permissions="keep", cache_ttl=0.001) for _ in range(2)]
    await put(first, "d/f", b"x", mtime=1000, mode=0o644)
    assert await second.set_attributes(place("d/f"), 2000, 0o600, ALICE)
    await asyncio.sleep(0.002)
    shown = (await listed(first, "d"))[b"f"]
    assert (shown.mtime, shown.mode) == (2000, 0o600)
    assert await first.file_info(place("d/f"), ALICE) == shown
    assert (await listed(first, "d"))[b"f"] == shown


async def test_what_another_replica_set_within_the_second_is_seen_by_listings_and_stat(
    open_backend: Opener,
) -> None:
    """The ETag stays the same, and so may the time of the upload."""
    first, second = [await open_backend(cache_ttl=0.001) for _ in range(2)]
    await put(first, "d/f", b"x")
    for mtime in (1000, 2000, 3000):
        await first.set_mtime(place("d/f"), mtime, ALICE)
        await second.set_mtime(place("d/f"), mtime + 1, ALICE)
        await asyncio.sleep(0.002)
        assert (await listed(first, "d"))[b"f"].mtime == mtime + 1
        assert (await first.file_info(place("d/f"), ALICE)).mtime == mtime + 1


async def test_a_directory_that_went_takes_its_time_along(backend: S3Backend, s3: S3) -> None:
    for path in ("a", "b", "b/c"):
        await backend.make_dir(place(path), ALICE)
    await backend.del_dir(place("a"), ALICE)
    await backend.rename(place("b"), place("d"), ALICE, overwrite=False)
    await fill(s3, "tenant/a/x", "tenant/b/c/x")
    for path in ("a", "b", "b/c"):
        assert (await backend.file_info(place(path), ALICE)).mtime is None
    assert (await listed(backend, "b"))[b"c"].mtime is None


async def test_what_is_written_into_a_directory_leaves_its_time(backend: S3Backend) -> None:
    await backend.make_dir(place("d"), ALICE)
    made = await backend.file_info(place("d"), ALICE)
    await put(backend, "d/f", b"x")
    assert await backend.file_info(place("d"), ALICE) == made == (await listed(backend, ""))[b"d"]


async def test_what_others_do_is_seen_when_the_cache_is_off(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(cache_ttl=0)
    path = os.urandom(4).hex()
    for _ in range(2):
        await s3.put(f"tenant/{path}", b"x")
        assert (await backend.file_info(place(path), ALICE)).size == 1
        await s3.delete(f"tenant/{path}")
        with pytest.raises(NotFound):
            await backend.file_info(place(path), ALICE)


async def test_no_more_than_four_pages_are_asked_for_at_once(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/f", b"x")
    held = proxy.on("ListObjectsV2", do=Hold())
    listings = [asyncio.create_task(names(backend, "d")) for _ in range(10)]
    await held.reached(4)
    assert (await backend.file_info(place("d/f"), ALICE)).size == 1  # others are answered meanwhile
    assert held.hits == 4
    held.release()
    assert await asyncio.gather(*listings) == [[b"f"]] * 10
