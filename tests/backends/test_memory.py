"""What the storage in memory offers to tests beyond the contract."""

from __future__ import annotations

import asyncio
import time

import pytest

from s3sftp.backends import FileInfo, Finish, Place, Session, WriteIntent
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import Busy, InvalidRequest, NoSpace, NotFound, StorageFailure

ALICE = Session("alice")
A = Place((b"a",))


async def test_it_is_seeded_and_compared_as_a_dictionary() -> None:
    backend = MemoryBackend({"a": b"1", "d/b": b"2", "e/": b""})
    assert (await backend.file_info(Place((b"d",)), ALICE)).is_dir
    assert (await backend.file_info(Place((b"e",)), ALICE)).is_dir
    assert backend.contents() == {"a": b"1", "d/b": b"2", "e/": b""}


async def test_an_object_beside_a_prefix_is_a_file_that_hides_nothing_for_ever() -> None:
    backend = MemoryBackend({"a": b"file", "a/b": b"below"})
    [page] = [page async for page in backend.list_dir(Place(), ALICE)]
    assert [(entry.name, entry.info.is_dir) for entry in page] == [(b"a", False)]
    await backend.delete(A, ALICE)
    assert (await backend.file_info(A, ALICE)).is_dir
    assert backend.contents() == {"a/b": b"below"}


async def test_an_implied_directory_vanishes_with_its_last_file() -> None:
    backend = MemoryBackend({"a/b": b"1"})
    await backend.delete(A.child(b"b"), ALICE)
    with pytest.raises(NotFound):
        await backend.file_info(A, ALICE)


async def test_a_failure_is_raised_by_the_call_it_is_meant_for() -> None:
    backend = MemoryBackend({"a": b"1"})

    def fail(method: str, place: Place) -> None:
        if (method, place) == ("delete", A):
            raise Busy

    backend.fail = fail
    assert isinstance(await backend.file_info(A, ALICE), FileInfo)
    with pytest.raises(Busy):
        await backend.delete(A, ALICE)
    assert backend.contents() == {"a": b"1"}


async def test_a_failed_finish_publishes_nothing_and_leaves_an_upload_until_it_is_aborted() -> None:
    def fail(method: str, place: Place) -> None:
        if method == "finish_write":
            raise StorageFailure

    backend = MemoryBackend(fail=fail)
    upload = await backend.begin_write(A, WriteIntent(), ALICE)
    with pytest.raises(StorageFailure):
        await backend.finish_write(upload, b"tail", Finish(4), ALICE)
    assert (backend.open_uploads, backend.contents()) == (1, {})
    await backend.abort_write(upload, ALICE)
    assert backend.open_uploads == 0


async def test_latency_is_waited_by_each_call_at_once() -> None:
    backend = MemoryBackend({"a": b"1"}, latency=0.5)
    began = time.monotonic()
    await asyncio.gather(*(backend.file_info(A, ALICE) for _ in range(50)))
    assert 0.4 < time.monotonic() - began < 20  # one after the other: 25 s


async def test_it_holds_no_more_than_it_may() -> None:
    backend = MemoryBackend({"b": b"12345"}, chunk_bytes=4, max_bytes=10)
    upload = await backend.begin_write(A, WriteIntent(), ALICE)
    await backend.write_chunk(upload, b"abcd", ALICE)
    with pytest.raises(NoSpace):
        await backend.write_chunk(upload, b"efgh", ALICE)
    await backend.abort_write(upload, ALICE)
    await backend.write_file(Place((b"b",)), b"1234567890", ALICE)
    usage = await backend.usage(Place(), ALICE)
    assert (usage.total_bytes, usage.used_bytes) == (10, 10)


class TestACallerThatBreaksTheContractIsRefused:
    async def test_by_a_chunk_of_another_size(self) -> None:
        backend = MemoryBackend(chunk_bytes=4)
        upload = await backend.begin_write(A, WriteIntent(), ALICE)
        with pytest.raises(InvalidRequest):
            await backend.write_chunk(upload, b"abc", ALICE)

    async def test_by_too_many_chunks_at_once(self) -> None:
        backend = MemoryBackend(chunk_bytes=4, parallel_chunks=2)
        upload = await backend.begin_write(A, WriteIntent(), ALICE)
        chunks = [backend.write_chunk(upload, b"abcd", ALICE) for _ in range(3)]
        outcomes = await asyncio.gather(*chunks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), type(None), InvalidRequest]

    async def test_by_a_finish_while_a_chunk_is_on_its_way(self) -> None:
        backend = MemoryBackend(chunk_bytes=4)
        upload = await backend.begin_write(A, WriteIntent(), ALICE)
        chunk = asyncio.ensure_future(backend.write_chunk(upload, b"abcd", ALICE))
        await asyncio.sleep(0)
        with pytest.raises(InvalidRequest):
            await backend.finish_write(upload, b"", Finish(4), ALICE)
        await chunk

    async def test_by_a_finish_after_a_chunk_that_failed(self) -> None:
        def fail(method: str, place: Place) -> None:
            if method == "write_chunk":
                raise Busy

        backend = MemoryBackend(chunk_bytes=4, fail=fail)
        upload = await backend.begin_write(A, WriteIntent(), ALICE)
        with pytest.raises(Busy):
            await backend.write_chunk(upload, b"abcd", ALICE)
        with pytest.raises(InvalidRequest):
            await backend.finish_write(upload, b"", Finish(0), ALICE)

    async def test_by_a_short_piece_before_the_last(self) -> None:
        backend = MemoryBackend({"a": b"12345678"}, chunk_bytes=4, min_chunk_bytes=4)
        base = await backend.file_info(A, ALICE)
        upload = await backend.begin_write(A, WriteIntent(base=base), ALICE)
        await backend.keep_range(upload, 0, 3, ALICE)
        with pytest.raises(InvalidRequest):
            await backend.finish_write(upload, b"tail", Finish(7), ALICE)
        assert backend.contents() == {"a": b"12345678"}

    async def test_by_a_kept_range_that_is_no_multiple_of_the_unit(self) -> None:
        backend = MemoryBackend({"a": b"12345678"}, chunk_bytes=4, keep_unit_bytes=4)
        base = await backend.file_info(A, ALICE)
        upload = await backend.begin_write(A, WriteIntent(base=base), ALICE)
        with pytest.raises(InvalidRequest):
            await backend.keep_range(upload, 0, 5, ALICE)

    async def test_by_a_call_after_the_end(self) -> None:
        backend = MemoryBackend(chunk_bytes=4)
        upload = await backend.begin_write(A, WriteIntent(), ALICE)
        await backend.abort_write(upload, ALICE)
        with pytest.raises(InvalidRequest):
            await backend.write_chunk(upload, b"abcd", ALICE)
        with pytest.raises(InvalidRequest):
            await backend.finish_write(upload, b"", Finish(0), ALICE)
