"""Opening a file begins to read it: one request, not two, and what is read is what is stored then."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import Changed, IsADirectory, NotFound, TimedOut
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.read.reader import OPEN_BYTES, Reader
from tests.backends.s3.conftest import ALICE, Opener, place
from tests.backends.s3.upload_driver import data_of, get, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, CutBody, StallBody
from tests.support.s3_client import S3

SMALL = data_of(10_000, seed=1)
LARGE = data_of(3 << 20, seed=2)


async def opened(backend: S3Backend, name: str, budget: ByteBudget | None = None) -> Reader:
    """A reader as `FileSystem` makes it."""
    began = asyncio.get_running_loop().time()
    info, beginning = await backend.open_file(place(name), OPEN_BYTES, ALICE)
    reader = Reader(backend, place(name), info, ALICE, FileOptions(), budget or ByteBudget(64 << 20))
    if beginning is not None:
        reader.continue_with(beginning, began)
    return reader


async def whole(reader: Reader, block: int = 32_768) -> bytes:
    got = b""
    while piece := b"".join(await reader.read(len(got), block)):
        got += piece
    await reader.close()
    return got


async def test_a_small_file_is_one_request(backend: S3Backend, proxy: FaultProxy, s3: S3) -> None:
    await s3.put("tenant/f", SMALL)
    assert await whole(await opened(backend, "f")) == SMALL
    assert proxy.log.by_api() == {"GetObject": 1}


async def test_a_large_file_is_no_more_requests_than_with_a_head(
    backend: S3Backend, proxy: FaultProxy, s3: S3
) -> None:
    await s3.put("tenant/f", LARGE)
    assert await whole(await opened(backend, "f")) == LARGE
    assert proxy.log.by_api() == {"GetObject": 2}


async def test_the_description_is_that_of_a_head(backend: S3Backend, open_backend: Opener, s3: S3) -> None:
    await s3.put("tenant/f", SMALL)
    reader = await opened(backend, "f")
    await reader.close()
    other = await open_backend()
    assert reader.info == await other.file_info(place("f"), ALICE)


@pytest.mark.parametrize("seen", ["nothing", "listed", "looked at", "put", "opened"])
async def test_what_is_read_is_what_was_stored_when_it_was_opened(
    open_backend: Opener, proxy: FaultProxy, s3: S3, seen: str
) -> None:
    """Whatever the session knew of it, and however lately."""
    backend = await open_backend(cache_ttl=timedelta(minutes=1))
    await put(backend, "f", b"old")
    if seen == "nothing":
        backend = await open_backend()
    elif seen == "listed":
        await names(backend, "")
    elif seen == "looked at":
        await backend.recent_info(place("f"), ALICE)
    elif seen == "opened":
        await (await opened(backend, "f")).close()
    await s3.put("tenant/f", SMALL)
    proxy.clear()
    reader = await opened(backend, "f")
    assert reader.info.size == len(SMALL)
    assert await whole(reader) == SMALL
    assert proxy.log.by_api() == {"GetObject": 1}


async def test_while_all_connections_are_taken_it_is_opened_as_it_is_stored_too(
    open_backend: Opener, proxy: FaultProxy, s3: S3
) -> None:
    backend = await open_backend(max_connections=2, cache_ttl=timedelta(minutes=1))
    await put(backend, "f", b"old")
    await s3.put("tenant/f", SMALL)
    proxy.clear()
    async with backend.client.downloads.slot():
        info, _ = await backend.open_file(place("f"), OPEN_BYTES, ALICE)
    assert info.size == len(SMALL)
    assert proxy.log.by_api() == {"HeadObject": 1}


async def test_opening_what_is_gone_ends_what_the_session_believed_of_it(
    open_backend: Opener, s3: S3
) -> None:
    backend = await open_backend(cache_ttl=timedelta(minutes=1))
    await put(backend, "f", b"old")
    await s3.delete("tenant/f")
    with pytest.raises(NotFound):
        await opened(backend, "f")
    with pytest.raises(NotFound):
        await backend.recent_info(place("f"), ALICE)


async def test_an_empty_file_opens(backend: S3Backend, s3: S3) -> None:
    await s3.put("tenant/f", b"")
    reader = await opened(backend, "f")
    assert reader.info.size == 0
    assert await whole(reader) == b""


async def test_a_store_that_refuses_ranges_of_empty_files_opens_them_too(
    backend: S3Backend, proxy: FaultProxy, s3: S3
) -> None:
    await s3.put("tenant/f", b"")
    proxy.on("GetObject", do=Answer(416, "InvalidRange"))
    assert (await opened(backend, "f")).info.size == 0


async def test_a_directory_and_nothing_are_told_apart(backend: S3Backend, proxy: FaultProxy, s3: S3) -> None:
    await s3.put("tenant/d/x", b"x")
    with pytest.raises(IsADirectory):
        await opened(backend, "d")
    with pytest.raises(NotFound):
        await opened(backend, "nothing")
    assert proxy.log.by_api() == {"GetObject": 2, "ListObjectsV2": 2, "HeadObject": 2}


@pytest.mark.parametrize("directory", ["emptied", "not empty"])
async def test_an_empty_file_is_opened_though_its_name_is_or_was_a_directorys(
    backend: S3Backend, s3: S3, directory: str
) -> None:
    """SeaweedFS answers a GET of a range of such an object with 404."""
    await s3.put("tenant/name/f", b"x")
    await s3.put("tenant/name", b"")
    if directory == "emptied":
        await s3.delete("tenant/name/f")
    assert (await opened(backend, "name")).info.size == 0


async def test_a_body_that_is_cut_is_continued(backend: S3Backend, proxy: FaultProxy, s3: S3) -> None:
    version = await s3.put("tenant/f", LARGE[:900_000])
    proxy.on("GetObject", do=CutBody(300_000), times=1)
    assert await whole(await opened(backend, "f")) == LARGE[:900_000]
    assert proxy.log.of("GetObject")[1].headers["if-match"] == version


async def test_a_file_that_is_replaced_after_it_was_opened_is_an_error(backend: S3Backend, s3: S3) -> None:
    await s3.put("tenant/f", LARGE)
    reader = await opened(backend, "f")
    assert b"".join(await reader.read(0, 1000)) == LARGE[:1000]
    await s3.put("tenant/f", bytes(len(LARGE)))
    with pytest.raises(Changed):
        await reader.read(2 << 20, 1000)
    await reader.close()


@pytest.mark.parametrize("moment", ["at once", "later"])
async def test_a_reader_that_leaves_gives_everything_back(open_backend: Opener, s3: S3, moment: str) -> None:
    """With room for three downloads, ten that were opened and not read stand in nobody's way."""
    backend = await open_backend(max_connections=4)
    await s3.put("tenant/f", LARGE)
    budget = ByteBudget(64 << 20)
    for _ in range(10):
        reader = await opened(backend, "f", budget)
        if moment == "later":
            await asyncio.sleep(0.05)
        await reader.close()
    assert budget.used == 0
    assert backend.client.downloads.has_slot
    assert await get(backend, "f", 0, len(LARGE), None) == LARGE


async def test_while_all_connections_are_taken_a_head_is_enough(
    open_backend: Opener, proxy: FaultProxy, s3: S3
) -> None:
    backend = await open_backend(max_connections=2)
    await s3.put("tenant/f", SMALL)
    async with backend.client.downloads.slot():
        info, beginning = await backend.open_file(place("f"), OPEN_BYTES, ALICE)
    assert (info.size, beginning) == (len(SMALL), None)
    assert proxy.log.by_api() == {"HeadObject": 1}


async def test_nobody_waits_for_the_bytes_to_know_what_was_opened(
    open_backend: Opener, proxy: FaultProxy, s3: S3
) -> None:
    backend = await open_backend(stall_timeout=timedelta(seconds=3), attempts=1)
    await s3.put("tenant/f", LARGE)
    proxy.on("GetObject", do=StallBody(0))
    async with asyncio.timeout(2.9):
        reader = await opened(backend, "f")
    assert reader.info.size == len(LARGE)
    with pytest.raises(TimedOut):
        await reader.read(0, 1000)
    await reader.close()


async def test_an_empty_file_that_has_a_directorys_name_is_the_file(backend: S3Backend, s3: S3) -> None:
    """SeaweedFS answers a GET of its first bytes with 404, as for a directory."""
    await s3.put("tenant/a", b"not empty")
    await s3.put("tenant/a/b", b"x")
    await s3.put("tenant/a", b"")
    assert await whole(await opened(backend, "a")) == b""
