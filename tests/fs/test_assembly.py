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
            out += a.pop_chunk(chunk)
    out += a.pop_chunk(a.front)
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
    a.pop_chunk(4)
    with pytest.raises(RewriteNeeded, match=r"^it is behind what was already sent to storage$"):
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
            return bytes(a.pop_chunk(min(at, a.front)))
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
    chunk = a.pop_chunk(32)
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


# ── the borders of each rule ────────────────────────────────────────────────────────────────────────


def with_a_gap() -> Assembly:
    """`abc`, two bytes that are missing, `xy`."""
    a = assembly()
    a.write(0, b"abc")
    a.write(5, b"xy")
    return a


def test_as_many_bytes_may_wait_as_the_option_says() -> None:
    a = Assembly(reorder_bytes=10)
    a.write(100, bytes(8))
    a.write(200, bytes(2))
    with pytest.raises(RewriteNeeded, match=r"^too many bytes wait for earlier ones that have not arrived$"):
        a.write(300, b"x")
    a.write(0, bytes(50))  # what follows the cut never waits
    a.write(50, bytes(5))
    assert (a.held, a.waiting()) == (65, 10)


def test_4096_ranges_may_wait() -> None:
    a = assembly()
    for index in range(4096):
        a.write(10 + 2 * index, b"x")
    with pytest.raises(RewriteNeeded):
        a.write(10 + 2 * 4096, b"x")
    assert len(a.islands()) == 4096


def test_nothing_written_changes_nothing() -> None:
    a = assembly()
    a.write(50, b"")
    assert (a.length, a.touched, a.islands(), a.gap()) == (0, False, [], (0, 0))


def test_bytes_that_are_missing_of_the_next_ones() -> None:
    a = with_a_gap()
    assert [a.missing(count) for count in (0, 3, 5, 6, 7, 10)] == [0, 0, 2, 2, 2, 5]
    a.pop_chunk(2)
    assert [a.missing(count) for count in (1, 3, 4, 5)] == [0, 2, 2, 2]
    assert (a.waiting(), a.front, a.held) == (2, 1, 3)


def test_only_what_follows_the_cut_in_memory_is_given_away() -> None:
    a = with_a_gap()
    with pytest.raises(ValueError, match="4 bytes wanted, 3 are there"):
        a.pop_chunk(4)
    assert bytes(a.pop_chunk(3)) == b"abc"
    assert (a.cut, bytes(a.pop_chunk(0)), a.gap()) == (3, b"", (3, 5))
    with pytest.raises(ValueError, match="1 bytes wanted, 0 are there"):
        a.pop_chunk(1)


def test_a_gap_is_filled_from_its_start_and_the_cut_moves_over_what_the_storage_keeps() -> None:
    a = with_a_gap()
    a.fill(3, b"d")
    assert (a.front, a.gap()) == (4, (4, 5))
    a.fill(4, b"e")
    assert (bytes(a.pop_chunk(7)), a.gap(), a.islands()) == (b"abcdexy", (7, 7), [])
    b = assembly(base_stop=10)
    b.write(10, b"x")
    b.skip(10)
    assert (b.cut, b.front) == (10, 1)


def test_what_is_in_memory_is_shown_up_to_the_next_gap() -> None:
    a = with_a_gap()
    assert [a.peek(offset, 2) for offset in (0, 2, 3, 4, 5, 6, 7)] == [
        b"ab",
        b"c",
        None,
        None,
        b"xy",
        b"y",
        None,
    ]
    assert [a.next_island(offset) for offset in (0, 1, 5, 6)] == [0, 5, 5, 7]


def test_a_rewrite_begins_with_nothing_but_what_gaps_mean() -> None:
    a = with_a_gap()
    a.resize(20)
    a.pop_chunk(3)
    a.restart()
    assert (a.cut, a.held, a.length, a.zeros_at(15), a.touched) == (0, 0, 20, 20, True)


def test_the_file_may_be_cut_off_where_it_was_given_away_and_not_before() -> None:
    a = with_a_gap()
    a.pop_chunk(3)
    with pytest.raises(RewriteNeeded, match=r"^the new size is less than what was already sent to storage$"):
        a.resize(2)
    assert (a.length, a.resized) == (7, False)
    a.resize(6)
    assert a.islands() == [(5, b"x")]
    a.resize(3)
    assert (a.length, a.islands(), a.gap()) == (3, [], (3, 3))
    a.write(3, b"z")
    assert (a.front, a.length) == (1, 4)


def test_a_write_where_it_was_given_away_replaces_what_follows() -> None:
    a = assembly()
    a.write(0, b"abcdef")
    a.pop_chunk(4)
    a.write(4, b"x")
    assert a.islands() == [(4, b"xf")]


def test_of_the_old_file_only_what_was_never_cut_off_shows_through() -> None:
    a = assembly(base_known=False)
    a.resize(4)
    a.resize(8)
    a.learn_base(6)
    assert (a.base_known, a.base_stop, a.length) == (True, 4, 8)
    b = assembly(base_known=False)
    b.write(0, b"abcdefgh")
    b.learn_base(6)
    assert (b.base_stop, b.length) == (6, 8)


def test_zeros_are_what_lies_between_the_old_end_and_the_new_one() -> None:
    a = assembly()
    a.write(0, b"abc")
    a.resize(3)
    assert a.zeros == []
    a.resize(10)
    a.resize(5)
    a.resize(8)
    assert [a.zeros_at(offset) for offset in (2, 3, 4, 5, 7, 8)] == [None, 5, 5, 8, 8, None]
    a.resize(3)
    assert a.zeros == []


def test_only_bytes_right_behind_the_old_file_go_on_with_it() -> None:
    def appends(base: int, offset: int, *, known: bool = True, sent: int = 0) -> bool:
        a = assembly(base_known=False)
        if known:
            a.learn_base(base)
        a.cut = sent
        a.write(offset, b"more")
        return a.appends_to_base()

    assert appends(10, 10)
    assert appends(10, 10, sent=4)
    assert not appends(10, 11)
    assert not appends(10, 9)
    assert not appends(0, 0)
    assert not appends(10, 10, known=False)
    untouched = assembly()
    untouched.learn_base(10)
    assert not untouched.appends_to_base()


@pytest.mark.parametrize(("size", "is_used"), [(3, False), (4, True), (100, True)])
def test_spare_memory_is_used_if_what_is_there_fits_in(size: int, is_used: bool) -> None:
    buffer = bytearray(size)
    a = Assembly(1 << 20, spare=lambda: buffer, small_bytes=4)
    a.write(0, b"abcd")
    a.write(4, b"e")
    chunk = a.pop_chunk(5)
    assert bytes(chunk) == b"abcde"
    assert (chunk.obj is buffer) is is_used


def rewritten(offset: int, data: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """What of these bytes is not in memory, and what is there then; before: `ab`, `cd`, `e` at 2, 6, 9."""
    a = assembly()
    for at, there in ((2, b"ab"), (6, b"cd"), (9, b"e")):
        a.write(at, there)
    others = a.rewrite(offset, memoryview(data))
    assert (a.length, [at for at, _ in a.islands()]) == (10, [2, 6, 9])
    return others, b"".join(a.islands()[number][1] for number in range(3))


@pytest.mark.parametrize(
    ("offset", "data", "others", "there"),
    [
        (2, b"XY", [], b"XYcde"),
        (3, b"X", [], b"aXcde"),
        (2, b"X", [], b"Xbcde"),
        (7, b"XYZ", [(8, 9)], b"abcXZ"),
        (0, b"uvXYwx", [(0, 2), (4, 6)], b"XYcde"),
        (1, b"uXYvwZWst", [(1, 2), (4, 6), (8, 9)], b"XYZWt"),
        (4, b"vw", [(4, 6)], b"abcde"),
        (10, b"vw", [(10, 12)], b"abcde"),
        (9, b"Xv", [(10, 11)], b"abcdX"),
        (5, b"", [], b"abcde"),
    ],
)
def test_of_bytes_that_are_written_again_those_in_memory_are_replaced_and_the_others_named(
    offset: int, data: bytes, others: list[tuple[int, int]], there: bytes
) -> None:
    assert rewritten(offset, data) == (others, there)


@given(WRITES, OFFSETS, st.binary(min_size=1, max_size=20))
def test_written_again_each_byte_is_replaced_or_named_and_never_both(
    writes: list[tuple[int, bytes]], offset: int, data: bytes
) -> None:
    a = assembly()
    for at, written in writes:
        a.write(at, written)
    held = {at + index for at, island in a.islands() for index in range(len(island))}
    before, length = memory_of(a, 80), a.length
    others = a.rewrite(offset, memoryview(data))
    named = [index for start, stop in others for index in range(start, stop)]
    touched = range(offset, offset + len(data))
    assert named == [index for index in touched if index not in held]
    expected = [
        data[index - offset] if index in touched and index in held else before[index] for index in range(80)
    ]
    assert (memory_of(a, 80), a.length) == (bytes(expected), length)


def test_bytes_that_were_sent_cannot_be_written_again_and_nothing_is_changed() -> None:
    a = assembly()
    a.write(0, b"abcdef")
    a.pop_chunk(4)
    with pytest.raises(RewriteNeeded, match=r"^it is behind what was already sent to storage$"):
        a.rewrite(3, memoryview(b"XYZ"))
    assert a.peek(4, 9) == b"ef"
    assert a.rewrite(3, memoryview(b"")) == []
    assert a.rewrite(4, memoryview(b"X")) == []
    assert a.peek(4, 9) == b"Xf"
