"""Reading: every byte that was asked for, or an error; never short, never mixed, never more memory."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import Changed, StorageFailure
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.read.reader import Reader

ME = Session("alice")
FILE = Place((b"f",))
MIB = 1 << 20


class Counting(MemoryBackend):
    """Notes the ranges that were asked for."""

    def __init__(self, data: bytes, **options: int) -> None:
        super().__init__({"f": data}, **options)
        self.ranges: list[tuple[int, int]] = []

    def read_file_range(self, place, start, stop, version, session):  # type: ignore[no-untyped-def]
        self.ranges.append((start, stop))
        return super().read_file_range(place, start, stop, version, session)


async def open_reader(backend: MemoryBackend, budget: ByteBudget | None = None, **options: int) -> Reader:
    info = await backend.file_info(FILE, ME)
    return Reader(backend, FILE, info, ME, FileOptions(**options), budget or ByteBudget(256 * MIB))


async def read(reader: Reader, offset: int, length: int) -> bytes:
    views = reader.try_read(offset, length)
    return b"".join(await reader.read(offset, length) if views is None else views)


async def test_a_sequential_reader_gets_the_file_in_few_long_ranges() -> None:
    data = random.Random(1).randbytes(20 * MIB + 7)
    backend = Counting(data)
    reader = await open_reader(backend)
    got = bytearray()
    while piece := await read(reader, len(got), 261_120):
        got += piece
    assert bytes(got) == data
    assert backend.ranges == [(0, 8 * MIB), (8 * MIB, 16 * MIB), (16 * MIB, len(data))]
    await reader.close()


async def test_a_small_file_costs_one_request() -> None:
    backend = Counting(b"x" * 100_000)
    reader = await open_reader(backend)
    for offset in range(0, 100_000, 32_768):
        await read(reader, offset, 32_768)
    assert backend.ranges == [(0, 100_000)]
    await reader.close()


async def test_a_random_reader_fetches_only_what_it_asks_for() -> None:
    backend = Counting(random.Random(2).randbytes(4 * MIB))
    reader = await open_reader(backend)
    offsets = [3 * MIB, 1 * MIB, 2 * MIB + 5, 700_001]
    for offset in offsets:
        await read(reader, offset, 1000)
    assert backend.ranges == [(offset, offset + 1000) for offset in offsets]
    await reader.close()


async def test_pipelined_reads_are_answered_whole_and_in_full() -> None:
    data = random.Random(3).randbytes(10 * MIB)
    reader = await open_reader(MemoryBackend({"f": data}, latency=0.001), range_bytes=256 * 1024)
    pieces = await asyncio.gather(*(read(reader, i * 100_000, 100_000) for i in range(105)))
    assert b"".join(pieces) == data
    assert all(len(piece) == 100_000 for piece in pieces[:104])
    await reader.close()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 1500)), max_size=25),
    st.booleans(),
)
@example(1167, [(1, 389), (74, 706), (0, 1096), (0, 688), (1, 220), (0, 1070), (0, 780)], True)
def test_any_pattern_of_reads_gives_the_bytes_of_the_file(
    size: int, reads: list[tuple[int, int]], at_once: bool
) -> None:
    async def scenario() -> None:
        data = random.Random(size).randbytes(size)
        reader = await open_reader(MemoryBackend({"f": data}, read_bytes=97))
        if at_once:
            got = await asyncio.gather(*(read(reader, offset, length) for offset, length in reads))
        else:
            got = [await read(reader, offset, length) for offset, length in reads]
        assert got == [data[offset : offset + length] for offset, length in reads]
        await reader.close()

    asyncio.run(scenario())


async def test_bytes_that_overlapping_reads_have_used_up_are_fetched_again_beside_those_that_are_left() -> (
    None
):
    data = random.Random(4).randbytes(641)
    reader = await open_reader(MemoryBackend({"f": data}, read_bytes=97))
    reads = [(252, 389), (253, 387), (0, 640)]
    got = await asyncio.gather(*(read(reader, offset, length) for offset, length in reads))
    assert got == [data[offset : offset + length] for offset, length in reads]
    await reader.close()


async def test_a_replaced_file_is_an_error_never_mixed_bytes() -> None:
    backend = MemoryBackend({"f": b"old" * 5 * MIB})
    reader = await open_reader(backend, range_bytes=1 * MIB, read_ahead_bytes=0)
    assert await read(reader, 0, 1000) == (b"old" * 1000)[:1000]
    backend.put("f", b"new" * 5 * MIB)
    with pytest.raises(Changed):
        await read(reader, 10 * MIB, 1000)
    await reader.close()


async def test_a_failed_range_fails_its_reads_and_a_later_read_tries_again() -> None:
    failing = True

    def fail(method: str, place: Place) -> None:
        if failing and method == "read_file_range":
            raise StorageFailure("no")

    backend = MemoryBackend({"f": b"x" * 1000}, fail=fail)
    reader = await open_reader(backend)
    with pytest.raises(StorageFailure):
        await read(reader, 0, 100)
    failing = False
    assert await read(reader, 0, 100) == b"x" * 100
    await reader.close()


async def test_a_reader_that_stops_reading_holds_little_and_gives_all_of_it_back() -> None:
    budget = ByteBudget(256 * MIB)
    backend = MemoryBackend({"f": bytes(64 * MIB)})
    reader = await open_reader(backend, budget)
    for offset in range(0, 8 * MIB, 128 * 1024):
        await read(reader, offset, 128 * 1024)
    await asyncio.sleep(0.05)
    assert budget.used <= (32 + 8 + 1) * MIB
    await reader.close()
    assert budget.used == 0


async def test_what_comes_ahead_of_a_reader_is_its_share_of_half_the_budget() -> None:
    budget = ByteBudget(64 * MIB)
    others = range(7)
    for other in others:
        budget.enter(other)
    reader = await open_reader(MemoryBackend({"f": bytes(64 * MIB)}), budget)

    async def held_after(start: int, stop: int) -> int:
        for offset in range(start, stop, 256 * 1024):
            await read(reader, offset, 256 * 1024)
        await asyncio.sleep(0.05)
        return budget.used

    assert await held_after(0, 16 * MIB) <= 5 * MIB
    for other in others:
        budget.leave(other)
    await held_after(16 * MIB, 24 * MIB)
    async with asyncio.timeout(20):
        while budget.used <= 8 * MIB:
            await asyncio.sleep(0.01)
    await reader.close()
    assert budget.fair_share() == 32 * MIB


async def test_without_room_in_the_budget_nothing_is_fetched_ahead() -> None:
    budget = ByteBudget(16 * MIB)
    budget.need(16 * MIB)
    reader = await open_reader(MemoryBackend({"f": bytes(64 * MIB)}), budget)
    await read(reader, 0, 1000)
    await read(reader, 1000, 1000)
    await asyncio.sleep(0.02)
    assert budget.used <= 16 * MIB + 2 * 256 * 1024 + 2000
    await reader.close()
