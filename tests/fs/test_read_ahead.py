"""Read-ahead decides: far for a sequential reader, nothing for a random one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s3sftp.fs.read.read_ahead import ReadAhead

KIB = 1 << 10
MIB = 1 << 20


def test_a_sequential_reader_goes_further_ahead_with_every_read() -> None:
    reader = ReadAhead(size=1 << 30, most=32 * MIB)
    ahead = [reader.observe(i * 255 * KIB, (i + 1) * 255 * KIB) - (i + 1) * 255 * KIB for i in range(40)]
    assert ahead == sorted(ahead)
    assert ahead[0] == 255 * KIB
    assert ahead[-1] == 32 * MIB


def test_a_read_elsewhere_fetches_only_what_it_asks_for() -> None:
    reader = ReadAhead(size=1 << 30, most=32 * MIB)
    reader.observe(0, 32 * KIB)
    assert reader.observe(900 * MIB, 900 * MIB + 100) == 900 * MIB + 100


def test_the_pace_is_kept_when_pipelined_reads_arrive_out_of_order() -> None:
    reader = ReadAhead(size=1 << 30, most=32 * MIB)
    for index in range(6):
        reader.observe(index * 32 * KIB, (index + 1) * 32 * KIB)
    ahead = reader.ahead
    reader.observe(7 * 32 * KIB, 8 * 32 * KIB)
    reader.observe(6 * 32 * KIB, 7 * 32 * KIB)
    assert reader.ahead == ahead
    assert reader.position == 8 * 32 * KIB


@given(
    st.integers(1, 10_000),
    st.integers(0, 5_000),
    st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 500)), max_size=30),
)
def test_the_target_covers_the_read_and_stays_inside_the_file(
    size: int, most: int, reads: list[tuple[int, int]]
) -> None:
    reader = ReadAhead(size=size, most=most)
    for start, length in reads:
        stop = min(start + length, size)
        if start >= stop:
            continue
        target = reader.observe(start, stop)
        assert stop <= target <= min(size, stop + most)


def test_a_sequential_reader_goes_twice_as_far_with_each_read_up_to_eight_times_what_it_has_read() -> None:
    reader = ReadAhead(size=1 << 30, most=6000)
    targets = [reader.observe(start, start + 100) - start - 100 for start in range(0, 900, 100)]
    assert targets == [100, 200, 400, 800, 1600, 3200, 5600, 6000, 6000]


def test_a_reader_that_goes_elsewhere_begins_anew() -> None:
    reader = ReadAhead(size=1 << 30, most=32 * MIB)
    for start in range(0, 800, 100):
        reader.observe(start, start + 100)
    far = 900 * MIB
    assert reader.observe(far, far + 50) == far + 50
    assert (reader.ahead, reader.read, reader.position) == (0, 0, far + 50)
    assert reader.observe(far + 50, far + 100) == far + 150
    assert reader.observe(far + 100, far + 150) == far + 250


def test_a_read_within_four_mebibytes_is_out_of_order_and_one_beyond_is_elsewhere() -> None:
    for distance, is_near in ((4 * MIB, True), (4 * MIB + 1, False)):
        for start in (10 * MIB + distance, 10 * MIB - distance):
            reader = ReadAhead(size=1 << 30, most=32 * MIB, position=10 * MIB, ahead=1000, read=5000)
            assert reader.observe(start, start + 10) == start + 10 + (1000 if is_near else 0)
            assert reader.position == (max(10 * MIB, start + 10) if is_near else start + 10)
