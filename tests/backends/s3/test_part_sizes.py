"""The part plan reaches 5 TiB within S3's limits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.write.part_sizes import (
    GIB,
    LONG_STEADY_PARTS,
    MAX_OBJECT_BYTES,
    MAX_PART_BYTES,
    MAX_PARTS,
    MIB,
    STEADY_PARTS,
    copy_piece_bytes,
    copy_ranges,
    parallel_parts,
    part_size,
)

first_sizes = st.integers(5, 1024).map(lambda size: size * MIB) | st.integers(5 * MIB, 5 * GIB)


steady_parts = st.sampled_from([STEADY_PARTS, LONG_STEADY_PARTS])


@pytest.mark.parametrize("steady", [STEADY_PARTS, LONG_STEADY_PARTS])
@pytest.mark.parametrize("part_bytes", [5 * MIB, 8 * MIB, 8 * MIB + 1, 64 * MIB, 525 * MIB, 5 * GIB])
def test_ten_thousand_parts_hold_5_tib(part_bytes: int, steady: int) -> None:
    sizes = (part_size(number, part_bytes, steady) for number in range(1, MAX_PARTS + 1))
    assert sum(sizes) >= MAX_OBJECT_BYTES


@given(first_sizes, st.integers(1, MAX_PARTS - 1), steady_parts)
def test_parts_never_shrink_and_never_outgrow_s3(part_bytes: int, number: int, steady: int) -> None:
    size, following = part_size(number, part_bytes, steady), part_size(number + 1, part_bytes, steady)
    assert part_bytes <= size <= following <= MAX_PART_BYTES
    if number <= steady:
        assert size == part_bytes
    else:
        assert size % MIB == 0 or size == part_bytes


def test_the_last_part_of_5_tib_still_fits_in_memory() -> None:
    assert part_size(MAX_PARTS, 8 * MIB, STEADY_PARTS) < 1.3 * GIB


@given(first_sizes, st.integers(1, 64))
def test_parts_under_way_stay_within_256_mib(size: int, wanted: int) -> None:
    count = parallel_parts(size, wanted)
    assert 1 <= count <= wanted
    assert count == 1 or count * size <= 256 * MIB


@given(st.integers(0, 1000), st.integers(1, 100_000), st.integers(1, 10_000), st.integers(1, 100))
def test_copied_ranges_cover_everything_once(start: int, size: int, piece: int, minimum: int) -> None:
    ranges = list(copy_ranges(start, start + size, piece, minimum))
    assert ranges[0][0] == start
    assert ranges[-1][1] == start + size
    assert all(one[1] == other[0] for one, other in itertools.pairwise(ranges))
    lengths = [last - first for first, last in ranges]
    assert max(lengths) - min(lengths[:-1], default=0) <= 1 or len(ranges) == 1
    if piece >= 8 * minimum:
        assert len({*lengths[:-1]}) <= 1
        assert lengths[-1] <= lengths[0]
    assert min(lengths) >= minimum or len(ranges) == 1
    if piece >= 2 * minimum:
        assert max(lengths) <= piece


@given(st.integers(1, MAX_OBJECT_BYTES), st.integers(5 * MIB, 5 * GIB))
def test_a_copy_takes_at_most_ten_thousand_parts_of_5_gib(size: int, wanted: int) -> None:
    piece = copy_piece_bytes(size, wanted)
    assert -(-size // piece) <= MAX_PARTS
    assert piece <= MAX_PART_BYTES


def test_parts_grow_by_no_more_than_is_needed() -> None:
    sizes = [part_size(number, 8 * MIB, STEADY_PARTS) for number in range(1, MAX_PARTS + 1)]
    assert sum(sizes) < 1.002 * MAX_OBJECT_BYTES
    assert sizes[STEADY_PARTS - 1 : STEADY_PARTS + 2] == [8 * MIB, 9 * MIB, 9 * MIB]


@pytest.mark.parametrize(
    ("size", "wanted", "count"),
    [
        (64 * MIB, 10, 4),
        (256 * MIB, 10, 1),
        (256 * MIB + 1, 10, 1),
        (85 * MIB, 3, 3),
        (85 * MIB, 10, 3),
        (1, 3, 3),
    ],
)
def test_as_many_parts_are_under_way_as_256_mib_hold(size: int, wanted: int, count: int) -> None:
    assert parallel_parts(size, wanted) == count


@pytest.mark.parametrize(("size", "wanted", "piece"), [(10_000, 1, 1), (10_001, 1, 2), (10_001, 7, 7)])
def test_a_copy_has_pieces_as_small_as_is_wanted_if_ten_thousand_hold_it(
    size: int, wanted: int, piece: int
) -> None:
    assert copy_piece_bytes(size, wanted) == piece


@pytest.mark.parametrize(
    ("size", "piece", "least", "lengths"),
    [
        (100, 100, 10, [100]),
        (100, 99, 10, [50, 50]),
        (101, 30, 10, [26, 26, 26, 23]),
        (10, 3, 1, [3, 3, 3, 1]),
        (21, 10, 7, [7, 7, 7]),
        (22, 10, 7, [8, 7, 7]),  # no pieces of one size: the last would be too small
        (21, 5, 2, [3] * 7),  # of the sizes up to 5 the largest with which the last is not too small
        (18, 4, 3, [3] * 6),
        (7, 3, 3, [4, 3]),  # larger than is wanted rather than too small
        (19, 10, 10, [19]),
        (20, 10, 10, [10, 10]),
        (5, 10, 10, [5]),
    ],
)
def test_what_is_copied_is_cut_like_this(size: int, piece: int, least: int, lengths: list[int]) -> None:
    assert sorted((stop - start for start, stop in copy_ranges(3, 3 + size, piece, least)), reverse=True) == (
        lengths
    )


@pytest.mark.parametrize(
    ("number", "part_bytes", "steady", "size"),
    [
        (1000, 8 * MIB + 1, 1000, 8 * MIB + 1),
        (1001, 8 * MIB + 1, 1000, 9 * MIB),
        (10_000, 8 * MIB, 1000, 1156 * MIB),
        (10_000, 8 * MIB, 5000, 2073 * MIB),
        (10_000, 600 * MIB, 1000, 600 * MIB),
    ],
)
def test_parts_have_these_sizes(number: int, part_bytes: int, steady: int, size: int) -> None:
    assert part_size(number, part_bytes, steady) == size
