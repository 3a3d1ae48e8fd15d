"""Writing: only CLOSE publishes, and what it publishes is what was written."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3sftp.backends import Buffer, FileInfo, Place, Session, Upload
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import Changed, InvalidRequest, NoSpace, StorageError, StorageFailure, Unsupported
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.write.upload_pipeline import WriteMode, WriterResources
from s3sftp.fs.write.writer import Writer

ME = Session("alice")
FILE = Place((b"f",))
MIB = 1 << 20
TRUNC = WriteMode(truncate=True)
KEEP = WriteMode()


class Bench:
    """A backend with small chunks, and writers on it."""

    def __init__(self, seed: bytes | None = None, **options: object) -> None:
        self.backend = MemoryBackend(
            {} if seed is None else {"f": seed}, chunk_bytes=16, min_chunk_bytes=8, parallel_chunks=3
        )
        self.options = FileOptions.model_validate({"reorder_bytes": MIB, **options})
        self.budget = ByteBudget(self.options.buffer_bytes)
        self.quota = SpoolQuota(None, self.options.spool_bytes)

    def open(self, mode: WriteMode, base: FileInfo | None = None) -> Writer:
        return Writer(
            WriterResources(self.backend, self.options, self.budget, self.quota), FILE, mode, ME, base
        )

    @property
    def stored(self) -> bytes | None:
        found = self.backend.objects.get(b"f")
        return None if found is None else bytes(found.data)

    def assert_nothing_left(self) -> None:
        assert self.backend.open_uploads == 0
        assert self.budget.used == 0
        assert self.quota.used == 0


async def write(writer: Writer, offset: int, data: bytes) -> None:
    if not writer.try_write(offset, memoryview(data)):
        await writer.write(offset, data)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 32, 33, 1000])
async def test_pipelined_pieces_become_the_file(size: int) -> None:
    bench, data = Bench(), random.Random(size).randbytes(size)
    writer = bench.open(TRUNC)
    for offset in range(0, size, 7):
        await write(writer, offset, data[offset : offset + 7])
    assert bench.stored is None
    info = await writer.commit()
    assert (bench.stored, info.size) == (data, size)
    bench.assert_nothing_left()


@pytest.mark.parametrize("size", [5, 500])
async def test_an_aborted_upload_leaves_the_old_file_and_nothing_else(size: int) -> None:
    bench = Bench(b"old")
    writer = bench.open(TRUNC)
    await write(writer, 0, bytes(size))
    await writer.abort()
    await writer.abort()
    assert bench.stored == b"old"
    bench.assert_nothing_left()


async def test_pieces_out_of_order_are_put_in_order() -> None:
    bench, data = Bench(), random.Random(5).randbytes(640)
    offsets = list(range(0, 640, 10))
    random.Random(6).shuffle(offsets)
    writer = bench.open(TRUNC)
    for offset in offsets:
        await write(writer, offset, data[offset : offset + 10])
    await writer.commit()
    assert bench.stored == data


async def test_a_full_chunk_is_sent_before_bytes_that_reach_into_later_ones_wait_for_memory() -> None:
    bench, data = Bench(), random.Random(9).randbytes(24)
    bench.budget = ByteBudget(36, wait_seconds=0.4)
    writer, other = bench.open(TRUNC), bench.open(TRUNC)
    await write(other, 0, data[:10])  # and a reservation for the rest of the chunk
    await write(writer, 20, data[20:])
    await write(writer, 0, data[:16])
    await write(writer, 16, data[16:22])  # the budget is used up until the first chunk is stored
    await writer.commit()
    assert bench.stored == data
    await other.commit()  # did not have to make room
    bench.assert_nothing_left()


@pytest.mark.parametrize("early", [[], [(20, 24)], [(18, 22), (24, 30)]], ids=str)
async def test_a_write_over_bytes_in_memory_that_reaches_beyond_the_chunk_waits_for_no_memory_of_its_own(
    early: list[tuple[int, int]],
) -> None:
    """The old bytes and what else came before are worth no memory, and the full chunk is sent first."""
    bench, data = Bench(), random.Random(9).randbytes(40)
    bench.budget = ByteBudget(16 + 10 + 6 + sum(stop - start for start, stop in early), wait_seconds=0.4)
    writer, other = bench.open(TRUNC), bench.open(TRUNC)
    await write(other, 0, data[:10])  # and a reservation for the rest of the chunk
    for start, stop in early:
        await write(writer, start, bytes(stop - start))
    await write(writer, 0, bytes(16))
    await write(writer, 0, data[:32])  # the budget is used up until the first chunk is stored
    await write(writer, 32, data[32:])
    await writer.commit()
    assert bench.stored == data
    await other.commit()  # did not have to make room
    bench.assert_nothing_left()


async def test_bytes_that_never_came_refuse_the_file() -> None:
    bench = Bench(b"old")
    writer = bench.open(TRUNC)
    await write(writer, 0, b"abc")
    await write(writer, 10, b"xyz")
    with pytest.raises(InvalidRequest, match="bytes 3 to 10 were never written"):
        await writer.commit()
    assert bench.stored == b"old"
    bench.assert_nothing_left()


async def test_gaps_are_zeros_where_the_policy_says_so() -> None:
    bench = Bench(gaps="zero")
    writer = bench.open(TRUNC)
    await write(writer, 100, b"xyz")
    await writer.commit()
    assert bench.stored == bytes(100) + b"xyz"


async def test_zeros_are_bounded() -> None:
    bench = Bench(gaps="zero", max_zero_fill_bytes=1000)
    writer = bench.open(TRUNC)
    await write(writer, 100_000, b"xyz")
    with pytest.raises(Unsupported):
        await writer.commit()
    bench.assert_nothing_left()


async def test_scp_over_a_longer_file_leaves_no_old_tail() -> None:
    bench = Bench(b"a much longer old file, more than one chunk of it")
    writer = bench.open(KEEP)
    await write(writer, 0, b"short")
    await writer.resize(5)
    await writer.commit()
    assert bench.stored == b"short"


async def test_without_a_size_the_old_tail_survives() -> None:
    bench = Bench(b"0123456789" * 10)
    writer = bench.open(KEEP)
    await write(writer, 0, b"new")
    await writer.commit()
    assert bench.stored == b"new" + (b"0123456789" * 10)[3:]


@pytest.mark.parametrize("old", [3, 8, 16, 100])
@pytest.mark.parametrize("new", [1, 40])
async def test_resume_at_the_old_end_keeps_the_old_bytes(old: int, new: int) -> None:
    bench = Bench(bytes(range(old)))
    writer = bench.open(KEEP)
    for index in range(new):
        await write(writer, old + index, b"N")
    await writer.commit()
    assert bench.stored == bytes(range(old)) + b"N" * new
    bench.assert_nothing_left()


@pytest.mark.parametrize("old", [15, 16, 17, 40, 100])
@pytest.mark.parametrize("new", [1, 40])
async def test_where_parts_have_one_size_so_have_those_that_are_kept(old: int, new: int) -> None:
    """MemoryBackend refuses any other range."""
    bench = Bench(bytes(range(old)))
    bench.backend.keep_unit_bytes = bench.backend.min_chunk_bytes = 16
    kept = list[tuple[int, int]]()

    async def keep_range(upload: Upload, start: int, stop: int, session: Session) -> None:
        kept.append((start, stop))
        await MemoryBackend.keep_range(bench.backend, upload, start, stop, session)

    bench.backend.keep_range = keep_range  # type: ignore[method-assign]
    writer = bench.open(KEEP)
    for index in range(new):
        await write(writer, old + index, b"N")
    await writer.commit()
    assert bench.stored == bytes(range(old)) + b"N" * new
    assert kept == ([(0, old // 16 * 16)] if old >= 16 else [])
    bench.assert_nothing_left()


async def test_append_ignores_the_offset() -> None:
    bench = Bench(b"old")
    writer = bench.open(WriteMode(append=True))
    await write(writer, 0, b"-1")
    await write(writer, 0, b"-2")
    await writer.commit()
    assert bench.stored == b"old-1-2"


async def test_a_patch_in_the_middle_of_a_large_file_keeps_both_sides() -> None:
    old = random.Random(9).randbytes(1000)
    bench = Bench(old)
    writer = bench.open(KEEP)
    await write(writer, 500, b"PATCH")
    await writer.commit()
    assert bench.stored == old[:500] + b"PATCH" + old[505:]


async def test_an_old_file_that_is_replaced_meanwhile_is_a_conflict() -> None:
    bench = Bench(b"old" * 100)
    writer = bench.open(KEEP)
    await write(writer, 300, b"more")
    bench.backend.put("f", b"someone else's")
    with pytest.raises(Changed):
        await writer.commit()
    assert bench.stored == b"someone else's"
    bench.assert_nothing_left()


async def test_opened_and_closed_without_a_write_nothing_changes() -> None:
    bench = Bench(b"old")
    version = bench.backend.objects[b"f"].version
    await bench.open(KEEP).commit()
    assert bench.backend.objects[b"f"].version == version


@pytest.mark.parametrize("change", ["replaced", "removed"])
@pytest.mark.parametrize("size", [None, 3], ids=["nothing said", "the same size"])
async def test_what_is_left_as_it_was_is_an_error_when_it_is_not_that_any_more(
    size: int | None, change: str
) -> None:
    bench = Bench(b"old")
    writer = bench.open(KEEP, await bench.backend.file_info(FILE, ME))
    if size is not None:
        await writer.resize(size)
    if change == "removed":
        await bench.backend.delete(FILE, ME)
    else:
        bench.backend.put("f", b"new")
    with pytest.raises(Changed):
        await writer.commit()
    assert bench.stored == (None if change == "removed" else b"new")
    bench.assert_nothing_left()


async def test_what_is_in_memory_can_be_read_back() -> None:
    bench = Bench()
    writer = bench.open(TRUNC)
    await write(writer, 0, b"hello")
    assert await writer.read(1, 100) == b"ello"
    await write(writer, 1, b"a")
    assert await writer.read(0, 5) == b"hallo"
    await writer.abort()


async def test_what_was_sent_cannot_be_read_back_and_says_so() -> None:
    bench = Bench()
    writer = bench.open(TRUNC)
    await write(writer, 0, bytes(40))
    with pytest.raises(Unsupported, match="after CLOSE"):
        await writer.read(0, 10)
    await writer.abort()


async def test_going_back_behind_what_was_sent_is_refused_and_fails_the_file() -> None:
    bench = Bench(b"old")
    writer = bench.open(TRUNC)
    await write(writer, 0, bytes(40))
    with pytest.raises(Unsupported):
        await write(writer, 0, b"x")
    with pytest.raises(Unsupported):
        await writer.commit()
    assert bench.stored == b"old"
    bench.assert_nothing_left()


async def test_a_failed_chunk_fails_the_next_call_and_close() -> None:
    bench = Bench()

    def fail(method: str, place: Place) -> None:
        if method == "write_chunk":
            raise StorageFailure("no")

    bench.backend.fail = fail
    writer = bench.open(TRUNC)
    with pytest.raises(StorageFailure):
        for index in range(100):
            await write(writer, index * 16, bytes(16))
            await asyncio.sleep(0)
    with pytest.raises(StorageFailure):
        await writer.commit()
    assert bench.stored is None
    bench.assert_nothing_left()


async def test_the_spool_takes_a_write_that_goes_back(tmp_path: Path) -> None:
    bench = Bench(rewrite="spool", spool_dir=str(tmp_path))
    writer = bench.open(TRUNC)
    data = bytearray(random.Random(1).randbytes(200))
    await write(writer, 0, bytes(data))
    await write(writer, 5, b"BACK")
    data[5:9] = b"BACK"
    assert await writer.read(0, 20) == bytes(data[:20])
    await writer.commit()
    assert bench.stored == bytes(data)
    bench.assert_nothing_left()
    assert list(tmp_path.iterdir()) == []


async def test_a_file_whose_size_was_not_yet_known_keeps_its_end_in_the_spool() -> None:
    old = random.Random(8).randbytes(4 * MIB)
    bench = Bench(rewrite="spool", spool_bytes=16 * MIB)
    bench.backend = MemoryBackend({"f": old}, chunk_bytes=8 * MIB)
    writer = bench.open(KEEP)
    await write(writer, 0, b"new")
    await write(writer, MIB, bytes(MIB))
    await write(writer, 2 * MIB, bytes(MIB))  # now too many bytes wait for earlier ones
    await writer.commit()
    assert bench.stored == b"new" + old[3:MIB] + bytes(2 * MIB) + old[3 * MIB :]
    bench.assert_nothing_left()


async def test_a_full_spool_is_no_space_and_is_given_back() -> None:
    bench = Bench(rewrite="spool", spool_bytes=100)
    writer = bench.open(TRUNC)
    with pytest.raises(NoSpace):
        for index in range(20):
            await write(writer, index * 16, bytes(16))
    with pytest.raises(NoSpace):
        await writer.commit()
    bench.assert_nothing_left()


async def test_a_clone_that_is_written_to_becomes_ordinary_bytes() -> None:
    bench = Bench()
    bench.backend.put("source", b"0123456789")
    source = Place((b"source",))
    writer = bench.open(TRUNC)
    assert writer.copy_whole(source, await bench.backend.file_info(source, ME))
    await write(writer, 2, b"xx")
    await writer.commit()
    assert bench.stored == b"01xx456789"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 120), st.binary(min_size=1, max_size=50)),
        st.tuples(st.just("resize"), st.integers(0, 150), st.just(b"")),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@example(None, [("write", 14, b"abc"), ("write", 0, b"0123456789ABCDEFG")], False, "refuse")
@given(
    st.one_of(st.none(), st.binary(max_size=100)), STEPS, st.booleans(), st.sampled_from(["refuse", "spool"])
)
def test_any_writes_and_sizes_give_what_a_disk_would_or_change_nothing(
    old: bytes | None, steps: list[tuple[str, int, bytes]], trunc: bool, rewrite: str
) -> None:
    """The reference: a bytearray. With a spool nothing may be refused."""

    async def scenario() -> None:
        bench = Bench(old, rewrite=rewrite, gaps="zero")
        writer = bench.open(TRUNC if trunc else KEEP)
        expected = bytearray(b"" if trunc or old is None else old)
        try:
            for kind, at, data in steps:
                if kind == "write":
                    expected.extend(bytes(max(0, at + len(data) - len(expected))))
                    expected[at : at + len(data)] = data
                    await write(writer, at, data)
                else:
                    expected[at:] = bytes(max(0, at - len(expected)))
                    await writer.resize(at)
            await writer.commit()
        except StorageError as error:
            assert rewrite == "refuse"
            assert isinstance(error, Unsupported)
            await writer.abort()
            assert bench.stored == old
        else:
            assert bench.stored == bytes(expected)
        bench.assert_nothing_left()

    asyncio.run(scenario())


class Held(MemoryBackend):
    """A storage whose chunks are stored when `go` is set; `seen` is what it was given."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.go = asyncio.Event()
        self.seen: list[memoryview] = []

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        self.seen.append(memoryview(data))
        await self.go.wait()
        await super().write_chunk(upload, data, session)


def held_bench(**options: int) -> tuple[Bench, Held]:
    bench = Bench()
    bench.backend = held = Held(**options)
    return bench, held


async def test_writes_in_order_never_wait_while_chunks_can_be_sent() -> None:
    bench, held = held_bench(chunk_bytes=16, parallel_chunks=3, chunk_growth_bytes=4)
    held.go.set()
    writer, data = bench.open(TRUNC), random.Random(7).randbytes(500)
    await writer.begin()
    for offset in range(0, 500, 5):
        assert writer.try_write(offset, memoryview(data)[offset : offset + 5])
        for _ in range(5):
            await asyncio.sleep(0)  # the storage takes a few turns of the loop
    await writer.commit()
    assert bench.stored == data
    bench.assert_nothing_left()


async def test_an_error_nobody_thought_of_fails_the_file_also_on_the_short_way() -> None:
    bench = Bench(gaps="zero")
    writer = bench.open(TRUNC)
    with pytest.raises(TypeError):
        writer.try_write(0, "not bytes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await writer.commit()
    assert bench.stored is None


async def test_a_chunk_that_there_is_no_room_to_send_makes_the_write_wait() -> None:
    bench, held = held_bench(chunk_bytes=16, parallel_chunks=2)
    writer, taken = bench.open(TRUNC), 0
    await writer.begin()
    while writer.try_write(taken, memoryview(bytes(4))):
        taken += 4
        await asyncio.sleep(0)
    assert taken == 48, "two chunks on their way, and one that is full"
    waiting = asyncio.ensure_future(writer.write(taken, bytes(4)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    held.go.set()
    await waiting
    await writer.commit()
    assert bench.stored == bytes(52)


async def test_two_chunks_full_in_one_turn_of_the_loop_have_the_sizes_and_the_order_asked_for() -> None:
    bench, held = held_bench(chunk_bytes=16, parallel_chunks=3, chunk_growth_bytes=4)
    held.go.set()
    writer, data = bench.open(TRUNC), random.Random(8).randbytes(200)
    await writer.begin()
    for offset in range(0, 200, 5):
        await write(writer, offset, data[offset : offset + 5])
    await writer.commit()
    assert bench.stored == data
    assert [len(chunk) for chunk in held.seen] == [16 + 4 * index for index in range(len(held.seen))]


async def test_an_upload_aborted_before_its_chunk_has_begun_leaves_nothing() -> None:
    bench, held = held_bench(chunk_bytes=16, parallel_chunks=3)
    writer = bench.open(TRUNC)
    await writer.begin()
    assert writer.try_write(0, memoryview(bytes(16)))
    assert writer.try_write(16, memoryview(bytes(4)))
    await writer.abort()
    assert held.seen == []
    bench.assert_nothing_left()


async def test_a_write_that_waits_for_room_when_its_upload_is_aborted_is_refused() -> None:
    """Its bytes are gone by then, and it must not look for them."""
    bench, held = held_bench(chunk_bytes=16, parallel_chunks=2)
    writer, taken = bench.open(TRUNC), 0
    await writer.begin()
    while writer.try_write(taken, memoryview(bytes(4))):
        taken += 4
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(writer.write(taken, bytes(4)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await writer.abort()
    with pytest.raises(InvalidRequest, match="aborted"):
        await waiting
    assert len(held.seen) == 2
    bench.assert_nothing_left()


async def test_chunks_are_put_together_in_the_memory_of_those_that_are_stored() -> None:
    bench, held = held_bench(chunk_bytes=MIB, parallel_chunks=2)
    held.go.set()
    tools = WriterResources(held, bench.options, bench.budget, bench.quota)
    writer, data = Writer(tools, FILE, TRUNC, ME, None), random.Random(3).randbytes(16 * MIB)
    await writer.begin()
    memory: set[int] = set()
    for offset in range(0, len(data), 200_000):
        await write(writer, offset, data[offset : offset + 200_000])
        memory |= {id(chunk.obj) for chunk in held.seen}
        await asyncio.sleep(0)
        held.seen.clear()
    assert len(memory) <= 4
    await writer.commit()
    assert bench.stored == data
    assert tools.buffer_pool.idle_bytes == 0


async def test_memory_of_an_aborted_upload_is_not_used_while_the_storage_still_reads_it() -> None:
    bench, held = held_bench(chunk_bytes=MIB, parallel_chunks=2)
    tools = WriterResources(held, bench.options, bench.budget, bench.quota)
    other = Writer(tools, Place((b"other",)), TRUNC, ME, None)  # so that something may be kept
    await write(other, 0, bytes(200_000))
    await write(other, 200_000, bytes(200_000))
    aborted = Writer(tools, FILE, TRUNC, ME, None)
    for offset in range(0, MIB + 200_000, 200_000):
        await write(aborted, offset, b"a" * 200_000)
    await asyncio.sleep(0)
    [reading] = held.seen
    await aborted.abort()
    assert tools.buffer_pool.idle_bytes > 0
    held.go.set()
    following = Writer(tools, FILE, TRUNC, ME, None)
    for offset in range(0, 3 * MIB, 1 << 18):
        await write(following, offset, b"f" * (1 << 18))
    assert bytes(reading) == b"a" * MIB
    await following.commit()
    await other.abort()
    assert bench.stored == b"f" * 3 * MIB
    bench.assert_nothing_left()


@pytest.mark.parametrize("rewrite", ["refuse", "spool"])
async def test_a_chunk_is_as_large_as_is_wanted_when_those_before_it_are_stored(rewrite: str) -> None:
    class Growing(MemoryBackend):
        async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
            assert len(data) == upload.chunk_bytes
            await super().write_chunk(upload, data, session)
            await asyncio.sleep(0.001)
            upload.chunk_bytes += 8  # only now, as a service that answers

    bench, data = Bench(rewrite=rewrite), random.Random(7).randbytes(1000)
    bench.backend = Growing(chunk_bytes=16, min_chunk_bytes=8)
    writer = bench.open(TRUNC)
    for offset in range(0, 1000, 100):
        await write(writer, offset, data[offset : offset + 100])
    await writer.commit()
    assert bench.stored == data
    bench.assert_nothing_left()
