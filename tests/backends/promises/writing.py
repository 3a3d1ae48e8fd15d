"""Writing: in chunks, all or nothing, with kept ranges, and who wins."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.backends import FileInfo, Finish
from s3sftp.errors import AlreadyExists, Changed, StorageError
from tests.backends.promises.storage import Storage, data_of

NOT_AT_ONCE = pytest.mark.parametrize("chunks", [0, 1], ids=["tail alone", "chunk and tail"])


async def test_a_file_can_be_published_at_once(storage: Storage) -> None:
    await storage.put("file", b"first")
    await storage.put("file", b"2nd")
    assert await storage.whole("file") == b"2nd"


@pytest.mark.parametrize(
    ("chunks", "tail_bytes"), [(0, 0), (0, 1), (0, -1), (1, 0), (1, 1), (2, 0), (2, 7), (2, -1), (3, 1)]
)
async def test_a_file_is_its_chunks_and_its_tail(storage: Storage, chunks: int, tail_bytes: int) -> None:
    """A negative tail is that much less than a chunk."""
    writing = await storage.begin("d/file")
    for _ in range(chunks):
        await writing.chunk()
    info = await writing.finish(data_of(tail_bytes % writing.upload.chunk_bytes))
    assert await storage.whole("d/file") == writing.sent
    assert info == await storage.info("d/file")
    assert info.size == len(writing.sent)
    assert await storage.names("d") == ["file"]


async def test_chunks_sent_at_once_keep_their_order(storage: Storage) -> None:
    writing = await storage.begin("file")
    for _ in range(2):
        await asyncio.gather(*(writing.chunk() for _ in range(writing.upload.parallel_chunks)))
    await writing.finish(b"tail")
    assert await storage.whole("file") == writing.sent


async def test_a_buffer_may_be_reused_when_the_call_returns(storage: Storage) -> None:
    upload = (await storage.begin("file")).upload
    first, second = data_of(upload.chunk_bytes, seed=1), data_of(upload.chunk_bytes, seed=2)
    buffer = bytearray(first)
    await storage.backend.write_chunk(upload, memoryview(buffer), storage.session)
    expected = first + second[: upload.chunk_bytes - 1]
    buffer = bytearray(second[: upload.chunk_bytes - 1])
    await storage.backend.finish_write(upload, memoryview(buffer), Finish(len(expected)), storage.session)
    buffer[:] = bytes(len(buffer))
    assert await storage.whole("file") == expected


@NOT_AT_ONCE
async def test_an_upload_is_invisible_until_it_is_finished(storage: Storage, chunks: int) -> None:
    writing = await storage.begin("d/file")
    for _ in range(chunks):
        await writing.chunk()
    assert not await storage.exists("d/file")
    assert not await storage.exists("d")
    assert await storage.names() == []
    await writing.finish(b"tail")
    assert await storage.names("d") == ["file"]


@NOT_AT_ONCE
async def test_the_old_file_stays_until_the_new_one_is_finished(storage: Storage, chunks: int) -> None:
    old = await storage.put("file", b"old")
    writing = await storage.begin("file")
    for _ in range(chunks):
        await writing.chunk()
    assert await storage.info("file") == old
    assert await storage.whole("file") == b"old"
    await writing.finish(b"tail")
    assert await storage.whole("file") == writing.sent


@NOT_AT_ONCE
async def test_an_aborted_write_leaves_nothing(storage: Storage, chunks: int) -> None:
    writing = await storage.begin("d/file")
    for _ in range(chunks):
        await writing.chunk()
    await writing.abort()
    await writing.abort()
    assert await storage.names() == []
    assert await storage.unfinished_uploads() == 0


@NOT_AT_ONCE
async def test_an_aborted_write_leaves_the_old_file(storage: Storage, chunks: int) -> None:
    old = await storage.put("file", b"old")
    writing = await storage.begin("file")
    for _ in range(chunks):
        await writing.chunk()
    await writing.abort()
    assert await storage.info("file") == old
    assert await storage.whole("file") == b"old"


async def test_a_write_can_be_aborted_while_a_chunk_is_on_its_way(storage: Storage) -> None:
    writing = await storage.begin("file")
    await writing.chunk()
    on_its_way = asyncio.ensure_future(writing.chunk())
    await asyncio.sleep(0)
    on_its_way.cancel()
    await asyncio.gather(on_its_way, return_exceptions=True)
    await writing.abort()
    assert not await storage.exists("file")
    assert await storage.unfinished_uploads() == 0


async def test_fewer_bytes_than_announced_are_not_published(storage: Storage) -> None:
    old = await storage.put("file", b"old")
    writing = await storage.begin("file")
    await writing.chunk()
    finish = Finish(len(writing.sent) + 5)
    with pytest.raises(StorageError):
        await storage.backend.finish_write(writing.upload, b"tail", finish, storage.session)
    await writing.abort()
    assert await storage.info("file") == old


@NOT_AT_ONCE
async def test_the_time_given_at_the_end_is_kept(storage: Storage, chunks: int) -> None:
    writing = await storage.begin("file")
    for _ in range(chunks):
        await writing.chunk()
    info = await writing.finish(b"tail", mtime=1_000_000_000)
    assert info.mtime == 1_000_000_000
    assert await storage.info("file") == info
    assert await storage.whole("file") == writing.sent


@NOT_AT_ONCE
@pytest.mark.parametrize("first", [1_000_000_000, 2_000_000_000], ids=["same", "other"])
async def test_the_time_given_at_the_end_is_the_last_word(
    storage: Storage, chunks: int, first: float
) -> None:
    writing = await storage.begin("file", mtime=first)
    for _ in range(chunks):
        await writing.chunk()
    info = await writing.finish(b"tail", mtime=1_000_000_000)
    assert info.mtime == 1_000_000_000
    assert await storage.info("file") == info


# exclusive


@NOT_AT_ONCE
async def test_an_exclusive_write_takes_a_free_name(storage: Storage, chunks: int) -> None:
    writing = await storage.begin("file", exclusive=True)
    for _ in range(chunks):
        await writing.chunk()
    await writing.finish(b"tail")
    assert await storage.whole("file") == writing.sent


@NOT_AT_ONCE
async def test_an_exclusive_write_never_replaces(storage: Storage, chunks: int) -> None:
    writing = await storage.begin("file", exclusive=True)
    for _ in range(chunks):
        await writing.chunk()
    await storage.put("file", b"was faster")
    await writing.fails_with(AlreadyExists)
    assert await storage.whole("file") == b"was faster"


async def test_of_exclusive_writers_exactly_one_wins(storage: Storage) -> None:
    async def write(number: int) -> FileInfo:
        writing = await storage.begin("file", exclusive=True)
        try:
            return await writing.finish(data_of(10, seed=number))
        except AlreadyExists:
            await writing.abort()
            raise

    outcomes = await asyncio.gather(*(write(number) for number in range(8)), return_exceptions=True)
    [winner] = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, FileInfo)]
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 7
    assert await storage.whole("file") == data_of(10, seed=winner)


async def test_of_two_writers_one_whole_version_stays(storage: Storage) -> None:
    writings = [await storage.begin("file") for _ in range(2)]
    await asyncio.gather(*(writing.chunk() for writing in writings))
    await asyncio.gather(writings[0].finish(b"a tail"), writings[1].finish(b"another tail"))
    assert await storage.whole("file") in [bytes(writing.sent) for writing in writings]


# building on the file that is there


@NOT_AT_ONCE
async def test_a_write_on_a_base_replaces_it(storage: Storage, chunks: int) -> None:
    base = await storage.put("file", b"old")
    writing = await storage.begin("file", base=base)
    for _ in range(chunks):
        await writing.chunk()
    await writing.finish(b"tail")
    assert await storage.whole("file") == writing.sent


@NOT_AT_ONCE
@pytest.mark.parametrize("change", ["replaced", "removed"])
async def test_a_write_on_a_base_that_changed_fails(storage: Storage, chunks: int, change: str) -> None:
    base = await storage.put("file", b"old")
    writing = await storage.begin("file", base=base)
    for _ in range(chunks):
        await writing.chunk()
    if change == "removed":
        await storage.remove("file")
    else:
        await storage.put("file", b"new")
    await writing.fails_with(Changed)
    if change == "removed":
        assert not await storage.exists("file")
    else:
        assert await storage.whole("file") == b"new"


@NOT_AT_ONCE
@pytest.mark.parametrize("change", ["replaced", "removed"])
async def test_a_write_that_keeps_nothing_of_its_base_replaces_any(
    storage: Storage, chunks: int, change: str
) -> None:
    base = await storage.put("file", b"old")
    writing = await storage.begin("file", base=base)
    for _ in range(chunks):
        await writing.chunk()
    if change == "removed":
        await storage.remove("file")
    else:
        await storage.put("file", b"new")
    await writing.finish(b"tail", base_kept=False)
    assert await storage.whole("file") == writing.sent


async def base_of(storage: Storage, path: str) -> tuple[FileInfo, bytes]:
    """A file long enough to keep two ranges of."""
    writing = await storage.begin(path)
    data = data_of(2 * writing.upload.min_chunk_bytes + 3, seed=7)
    await writing.abort()
    return await storage.put(path, data), data


async def test_a_file_can_be_continued(storage: Storage) -> None:
    base, old = await base_of(storage, "file")
    writing = await storage.begin("file", base=base)
    await writing.keep(old, 0, len(old))
    await writing.finish(b"and more")
    assert await storage.whole("file") == old + b"and more"


async def test_a_file_can_be_cut(storage: Storage) -> None:
    base, old = await base_of(storage, "file")
    writing = await storage.begin("file", base=base)
    await writing.keep(old, 0, 1)
    await writing.finish()
    assert await storage.whole("file") == old[:1]


async def test_kept_ranges_and_new_chunks_make_one_file(storage: Storage) -> None:
    base, old = await base_of(storage, "file")
    writing = await storage.begin("file", base=base)
    fewest = writing.upload.min_chunk_bytes
    await writing.keep(old, 0, fewest)
    await writing.chunk()
    await writing.keep(old, fewest, len(old))
    info = await writing.finish(b"tail")
    assert await storage.whole("file") == writing.sent
    assert (info.size, info) == (len(writing.sent), await storage.info("file"))


async def test_ranges_kept_at_once_keep_their_order(storage: Storage) -> None:
    base, old = await base_of(storage, "file")
    writing = await storage.begin("file", base=base)
    half = writing.upload.min_chunk_bytes
    if writing.upload.parallel_chunks > 1:
        await asyncio.gather(writing.keep(old, half, 2 * half), writing.chunk())
    else:
        await writing.keep(old, half, 2 * half)
    await writing.finish(b"tail")
    assert await storage.whole("file") == writing.sent


async def test_bytes_of_a_file_that_changed_are_not_kept(storage: Storage) -> None:
    base, old = await base_of(storage, "file")
    writing = await storage.begin("file", base=base)
    await storage.put("file", data_of(len(old), seed=8))

    async def keep_and_finish() -> None:
        await writing.keep(old, 0, len(old))
        await writing.finish()

    with pytest.raises(Changed):
        await keep_and_finish()
    await writing.abort()
    assert await storage.whole("file") == data_of(len(old), seed=8)


async def test_an_aborted_continuation_leaves_the_old_file(storage: Storage) -> None:
    base, old = await base_of(storage, "file")
    writing = await storage.begin("file", base=base)
    await writing.keep(old, 0, len(old))
    await writing.abort()
    assert await storage.info("file") == base
    assert await storage.whole("file") == old
