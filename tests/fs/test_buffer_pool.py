"""Memory that is used again: never while somebody reads it, and never much of it."""

from __future__ import annotations

from s3sftp.fs.write.buffer_pool import BufferPool

MIB = 1 << 20


def used(spares: BufferPool, *sizes: int) -> list[bytearray]:
    """Buffers of chunks that an upload `me` has stored."""
    assert spares.lend("me") is None
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        spares.keep(memoryview(buffer)[:-1])
    return buffers


def test_the_memory_of_a_stored_chunk_is_lent_again() -> None:
    spares = BufferPool()
    [buffer] = used(spares, MIB)
    assert spares.lend("me") is buffer
    assert spares.lend("me") is None


def test_memory_that_somebody_still_sees_is_not_lent() -> None:
    spares = BufferPool()
    first, second = used(spares, MIB, MIB)
    view = memoryview(first)[5:10]
    assert spares.lend("me") is second
    assert spares.lend("you") is None
    view.release()
    assert spares.lend("you") is first


def test_what_is_idle_or_lent_and_not_yet_full_is_bounded() -> None:
    spares = BufferPool(4 * MIB)
    used(spares, *[MIB] * 6)
    assert spares.idle_bytes == 4 * MIB
    lent = spares.lend("me")
    spares.keep(bytearray(MIB))
    assert spares.idle_bytes == 3 * MIB
    spares.full("me")
    assert lent is not None
    spares.keep(lent)
    assert spares.idle_bytes == 4 * MIB


def test_small_files_leave_nothing() -> None:
    spares = BufferPool()
    used(spares, 10_000, 100_000)
    assert spares.idle_bytes == 0


def test_when_the_last_large_upload_ends_nothing_is_kept() -> None:
    spares = BufferPool()
    used(spares, MIB, MIB)
    spares.lend("you")
    spares.leave("me")
    assert spares.idle_bytes == MIB
    spares.leave("you")
    assert spares.idle_bytes == 0
    spares.keep(bytearray(MIB))
    assert spares.idle_bytes == 0


def test_memory_of_256_kib_is_worth_keeping_and_less_is_not() -> None:
    spares = BufferPool()
    used(spares, 256 << 10, (256 << 10) - 1)
    assert spares.idle_bytes == 256 << 10


def test_what_is_not_of_a_buffer_is_not_kept() -> None:
    spares = BufferPool()
    spares.lend("me")
    spares.keep(bytes(MIB))
    spares.keep(memoryview(bytes(MIB)))
    assert spares.idle_bytes == 0


def test_an_upload_that_ends_while_it_fills_a_buffer_leaves_room_for_others() -> None:
    spares = BufferPool(2 * MIB)
    used(spares, MIB)
    spares.lend("you")
    assert spares.lend("me") is None
    spares.leave("you")
    spares.leave("you")
    spares.full("me")
    for _ in range(3):
        spares.keep(bytearray(MIB))
    assert spares.idle_bytes == 2 * MIB
