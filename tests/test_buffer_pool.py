"""Memory that is used again: never while somebody reads it, and never much of it."""

from __future__ import annotations

from s3sftp.runtime.buffer_pool import BufferPool

MIB = 1 << 20


def used(pool: BufferPool, *sizes: int) -> list[bytearray]:
    """Buffers of chunks that an upload `me` has stored."""
    assert pool.lend("me") is None
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        pool.give_back(memoryview(buffer)[:-1])
    return buffers


def test_the_memory_of_a_stored_chunk_is_lent_again() -> None:
    pool = BufferPool()
    [buffer] = used(pool, MIB)
    assert pool.lend("me") is buffer
    assert pool.lend("me") is None


def test_memory_that_somebody_still_sees_is_not_lent() -> None:
    pool = BufferPool()
    first, second = used(pool, MIB, MIB)
    view = memoryview(first)[5:10]
    assert pool.lend("me") is second
    assert pool.lend("you") is None
    view.release()
    assert pool.lend("you") is first


def test_what_is_idle_or_lent_and_not_yet_full_is_bounded() -> None:
    pool = BufferPool(4 * MIB)
    used(pool, *[MIB] * 6)
    assert pool.idle_bytes == 4 * MIB
    lent = pool.lend("me")
    pool.give_back(bytearray(MIB))
    assert pool.idle_bytes == 3 * MIB
    pool.full("me")
    assert lent is not None
    pool.give_back(lent)
    assert pool.idle_bytes == 4 * MIB


def test_small_files_leave_nothing() -> None:
    pool = BufferPool()
    used(pool, 10_000, 100_000)
    assert pool.idle_bytes == 0


def test_when_the_last_large_upload_ends_nothing_is_kept() -> None:
    pool = BufferPool()
    used(pool, MIB, MIB)
    pool.lend("you")
    pool.leave("me")
    assert pool.idle_bytes == MIB
    pool.leave("you")
    assert pool.idle_bytes == 0
    pool.give_back(bytearray(MIB))
    assert pool.idle_bytes == 0


def test_memory_of_256_kib_is_worth_keeping_and_less_is_not() -> None:
    pool = BufferPool()
    used(pool, 256 << 10, (256 << 10) - 1)
    assert pool.idle_bytes == 256 << 10


def test_what_is_not_of_a_buffer_is_not_kept() -> None:
    pool = BufferPool()
    pool.lend("me")
    pool.give_back(bytes(MIB))
    pool.give_back(memoryview(bytes(MIB)))
    assert pool.idle_bytes == 0


def test_an_upload_that_ends_while_it_fills_a_buffer_leaves_room_for_others() -> None:
    pool = BufferPool(2 * MIB)
    used(pool, MIB)
    pool.lend("you")
    assert pool.lend("me") is None
    pool.leave("you")
    pool.leave("you")
    pool.full("me")
    for _ in range(3):
        pool.give_back(bytearray(MIB))
    assert pool.idle_bytes == 2 * MIB
