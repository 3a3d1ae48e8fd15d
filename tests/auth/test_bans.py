"""Bans: who guesses too often is out for a while, and the table that knows it stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth import Bans, source_of


def bans(failures: int = 3, max_sources: int = 100) -> Bans:
    return Bans(failures, window=60, ban_time=600, max_sources=max_sources)


def test_the_last_of_too_many_failures_bans_and_others_do_not() -> None:
    table = bans()
    assert [table.failed("a", now) for now in (0, 1, 2)] == [False, False, True]
    assert table.banned("a", 3)
    assert not table.banned("b", 3)


def test_a_ban_ends_and_counting_begins_anew() -> None:
    table = bans()
    for now in (0, 1, 2):
        table.failed("a", now)
    assert table.banned("a", 601)
    assert not table.banned("a", 602)
    assert not table.failed("a", 603)


def test_while_a_ban_lasts_nothing_is_counted_and_it_grows_no_longer() -> None:
    table = bans()
    for now in (0, 1, 2):
        table.failed("a", now)
    assert not any(table.failed("a", now) for now in range(550, 600))
    assert len(table) == 1
    assert not table.banned("a", 602)
    assert not table.failed("a", 602)


def test_failures_outside_the_window_do_not_count() -> None:
    table = bans()
    assert not any(table.failed("a", now) for now in range(0, 1000, 31))


def test_zero_turns_bans_off() -> None:
    table = bans(failures=0)
    assert not any(table.failed("a", 0) for _ in range(1000))
    assert len(table) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 50)), max_size=200))
def test_the_table_never_grows_beyond_its_limit(events: list[tuple[int, float]]) -> None:
    table = bans(max_sources=10)
    now = 0.0
    for source, pause in events:
        now += pause
        table.failed(str(source), now)
        assert len(table) <= 10


def test_a_flood_of_sources_does_not_wash_a_ban_away() -> None:
    table = bans(max_sources=100)
    for _ in range(3):
        table.failed("attacker", 0)
    for number in range(1000):
        table.failed(f"flood {number}", 1)
    assert table.banned("attacker", 2)


def test_a_full_table_forgets_the_source_that_was_quiet_for_longest_and_no_more() -> None:
    table = bans(failures=3, max_sources=3)
    for now, source in enumerate(("a", "b", "c", "a", "b")):
        table.failed(source, now)
    assert len(table) == 3
    table.failed("d", 5)  # takes the place of c
    assert len(table) == 3
    assert table.failed("a", 6)
    assert table.failed("b", 7)
    assert [table.failed("c", now) for now in (8, 9, 10)] == [False, False, True]


def test_a_full_table_still_bans_those_that_come() -> None:
    table = bans(failures=2, max_sources=3)
    for source in "abc":
        table.failed(source, 0)
    assert [table.failed("d", 1), table.failed("d", 2)] == [False, True]
    assert table.banned("d", 3)


def test_a_table_full_of_bans_forgets_the_oldest_of_them() -> None:
    table = bans(failures=1, max_sources=3)
    assert all(table.failed(source, now) for now, source in enumerate("abcd"))
    assert len(table) == 3
    assert [table.banned(source, 4) for source in "abcd"] == [False, True, True, True]


def test_a_failure_counts_until_the_window_has_passed() -> None:
    for last, is_banned in ((59, True), (60, False)):
        table = bans(failures=2)
        table.failed("a", 0)
        assert table.failed("a", last) is is_banned


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_source_is_an_address_or_the_network_that_a_customer_is_given(
    one: str, other: str, same: bool
) -> None:
    assert (source_of(one) == source_of(other)) is same
