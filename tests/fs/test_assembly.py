"""The assembly of writes: whatever the order, what comes out is what was written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.fs.write.assembly import Assembly, RewriteNeeded

OFFSETS = st.integers(0, 40)
WRITES = st.lists(st.tuples(OFFSETS, st.binary(min_size=0, max_size=12)), max_size=30)


def assembly(**options: int) -> Assembly:
    return Assembly(reorder_bytes=1 << 20, **options)


def memory_of(a: Assembly, length: int) -> bytes:
    """What is in memory, gaps as zeros."""
    content = bytearray(length)
    for offset, data in a.islands():
        content[offset : offset + len(data)] = data
    return bytes(content)


@given(WRITES)
def test_the_latest_write_wins_wherever_it_lands(writes: list[tuple[int, bytes]]) -> None:
    a, expected = assembly(), bytearray()
    for offset, data in writes:
        a.write(offset, data)
        if data:
            expected.extend(bytes(max(0, offset + len(data) - len(expected))))
            expected[offset : offset + len(data)] = data
    assert a.length == len(expected)
    assert memory_of(a, a.length) == bytes(expected)


@given(WRITES)
def test_islands_are_sorted_and_never_touch(writes: list[tuple[int, bytes]]) -> None:
    a = assembly()
    for offset, data in writes:
        a.write(offset, data)
    islands = a.islands()
    for (start, data), (following, _) in pairwise(islands):
        assert start + len(data) < following


@given(st.permutations(range(12)), st.integers(1, 7))
def test_pieces_in_any_order_are_given_away_in_order(order: list[int], chunk: int) -> None:
    whole = bytes(range(120))
    a, out = assembly(), bytearray()
    for index in order:
        a.write(index * 10, whole[index * 10 : index * 10 + 10])
        while a.front >= chunk:
            out += a.take(chunk)
    out += a.take(a.front)
    assert bytes(out) == whole


@given(WRITES, st.integers(0, 60))
def test_resize_cuts_off_and_enlarges(writes: list[tuple[int, bytes]], size: int) -> None:
    a = assembly()
    for offset, data in writes:
        a.write(offset, data)
    before = memory_of(a, a.length)
    a.resize(size)
    assert a.length == size
    assert memory_of(a, size) == (before + bytes(60))[:size]


def test_a_write_behind_the_cut_is_not_placed() -> None:
    a = assembly()
    a.write(0, b"abcdef")
    a.take(4)
    with pytest.raises(RewriteNeeded):
        a.write(3, b"x")
    assert a.islands() == [(4, b"ef")]


def test_bytes_too_far_ahead_are_not_placed() -> None:
    a = Assembly(reorder_bytes=10)
    a.write(100, bytes(8))
    with pytest.raises(RewriteNeeded):
        a.write(200, bytes(8))
    assert a.held == 8


def test_scattered_single_bytes_are_bounded_by_number() -> None:
    a = assembly()
    with pytest.raises(RewriteNeeded):
        for index in range(10_000):
            a.write(10 + 2 * index, b"x")
    assert len(a.islands()) <= 4096


def test_an_old_file_shows_through_until_it_is_cut_off() -> None:
    a = assembly(base_known=False)
    a.write(0, b"new")
    a.learn_base(10)
    assert (a.length, a.gap()) == (10, (3, 10))
    a.resize(5)
    assert (a.length, a.base_stop, a.gap()) == (5, 5, (3, 5))


def test_a_size_set_before_the_old_file_is_known_bounds_it() -> None:
    a = assembly(base_known=False)
    a.write(0, b"new")
    a.resize(3)
    a.learn_base(10)
    assert (a.length, a.base_stop) == (3, 3)


def test_going_on_at_the_old_end_is_recognised() -> None:
    a = assembly(base_known=False)
    a.learn_base(10)
    a.write(10, b"more")
    assert a.appends_to_base()
    a.write(5, b"x")
    assert not a.appends_to_base()


def test_enlarging_makes_zeros_only_of_what_is_new() -> None:
    a = assembly()
    a.write(0, b"abc")
    a.write(10, b"xyz")
    a.resize(20)
    assert [a.zeros_at(offset) for offset in (3, 9, 13, 19)] == [None, None, 20, 20]
    a.resize(15)
    assert [a.zeros_at(offset) for offset in (13, 14, 15)] == [15, 15, None]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.binary(min_size=1, max_size=12), st.just(0)),
        st.tuples(st.just("write"), st.binary(min_size=1, max_size=12), OFFSETS),
        st.tuples(st.just("resize"), st.just(b""), OFFSETS),
        st.tuples(st.just("take"), st.just(b""), st.integers(0, 20)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 30))
def test_in_memory_that_is_used_again_the_same_file_is_put_together(
    steps: list[tuple[str, bytes, int]], spare_bytes: int
) -> None:
    """Two assemblies, one with spare buffers full of other bytes, never differ."""
    plain = assembly()
    spared = Assembly(1 << 20, spare=lambda: bytearray(b"?" * spare_bytes), small_bytes=4)
    for kind, data, at in steps:
        outcomes = [_step(each, kind, data, at) for each in (plain, spared)]
        assert outcomes[0] == outcomes[1]
        assert plain.islands() == spared.islands()
        assert (plain.held, plain.front, plain.length) == (spared.held, spared.front, spared.length)


def _step(a: Assembly, kind: str, data: bytes, at: int) -> bytes | None:
    try:
        if kind == "take":
            return bytes(a.take(min(at, a.front)))
        if kind == "resize":
            a.resize(at)
        else:
            a.write(a.cut + a.front if kind == "append" else at, data)
    except RewriteNeeded:
        return None
    return b""


def test_a_chunk_that_was_given_away_is_not_touched_by_what_follows() -> None:
    a = Assembly(1 << 20, spare=lambda: bytearray(64), small_bytes=4)
    for start in range(0, 40, 8):
        a.write(start, bytes(range(start, start + 8)))
    chunk = a.take(32)
    a.write(40, b"x" * 30)
    a.write(32, b"y" * 10)
    assert bytes(chunk) == bytes(range(32))
    assert a.peek(32, 100) == b"y" * 10 + b"x" * 28


def test_small_files_ask_for_no_spare_memory() -> None:
    asked: list[bool] = []

    def spare() -> None:
        asked.append(True)

    a = Assembly(1 << 20, spare=spare)
    for start in range(0, 256 << 10, 32 << 10):
        a.write(start, bytes(32 << 10))
    assert not asked
    a.write(a.length, b"x")
    assert asked
