"""Token buckets: what is taken in any time is bounded, nobody starves, and processes share them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s3sftp.runtime.rate_buckets import ROWS, RateBuckets
from s3sftp.runtime.shared_counters import SharedCounters

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000 * SECOND

    def __call__(self) -> int:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


def buckets(clock: Clock, rows: int = ROWS) -> RateBuckets:
    return RateBuckets(SharedCounters.alone(rows), clock)


def test_a_full_bucket_gives_one_seconds_worth_at_once_and_then_the_rate() -> None:
    clock = Clock()
    bucket = buckets(clock).bucket("alice")
    assert [bucket.take(25, 100) for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take(50, 100) == 0.5
    clock.wait(0.5)
    assert bucket.take(100, 100) == 1
    clock.wait(60)
    assert [bucket.take(50, 100), bucket.take(50, 100), bucket.take(1, 100)] == [0, 0, 0.01]


@given(
    st.integers(1, 1 << 30),
    st.lists(st.tuples(st.integers(1, 1 << 20), st.floats(0, 3)), min_size=1, max_size=60),
)
def test_whoever_waits_as_told_never_takes_more_than_the_rate_and_one_second(
    rate: int, steps: list[tuple[int, float]]
) -> None:
    clock = Clock()
    bucket = buckets(clock).bucket("alice")
    began, taken = clock.now, 0
    for count, idle in steps:
        wait = bucket.take(count, rate)
        # what was taken before this moment, the last one into debt
        assert taken <= rate * ((clock.now - began) / SECOND + 1) + 1e-6 * rate + 1
        taken += count
        clock.wait(wait + idle)


def test_several_takers_of_one_bucket_are_served_in_turn_at_the_rate_together() -> None:
    clock = Clock()
    shared = buckets(clock)
    takers = [shared.bucket("alice") for _ in range(3)]
    due = [0.0, 0.0, 0.0]
    served = [0, 0, 0]
    for _ in range(30_000):
        clock.wait(0.001)
        for number, taker in enumerate(takers):
            if clock.now >= due[number]:
                due[number] = clock.now + taker.take(10, 1000) * SECOND
                served[number] += 10
    assert 30_000 <= sum(served) <= 31_100
    assert max(served) - min(served) <= 20


def test_names_have_buckets_of_their_own() -> None:
    clock = Clock()
    shared = buckets(clock)
    assert shared.bucket("alice").take(1000, 100) == 9
    assert [shared.bucket(f"user {number}").take(100, 100) for number in range(300)] == [0] * 300
    assert shared.bucket("alice").take(100, 100) == 10


def test_where_the_table_is_full_of_others_a_bucket_still_holds_its_rate() -> None:
    clock = Clock()
    small = buckets(clock, rows=16)
    for number in range(8):
        small.bucket(f"user {number}").take(1000, 100)
    late = small.bucket("late")
    assert [late.take(100, 100), late.take(100, 100)] == [0, 1]
    clock.wait(20)  # the others are through: there is a place
    assert [late.take(100, 100), late.take(100, 100)] == [0, 1]
    assert small.bucket("late").take(100, 100) == 2


def test_a_rate_that_changes_holds_from_then_on() -> None:
    clock = Clock()
    bucket = buckets(clock).bucket("alice")
    assert bucket.take(200, 100) == 1
    clock.wait(1)
    assert bucket.take(200, 1000) == 0.2


def test_what_is_taken_counts_for_everybody_who_shares_the_table() -> None:
    clock, table = Clock(), SharedCounters.alone(ROWS)
    one, other = (RateBuckets(table, clock).bucket("alice") for _ in range(2))
    assert [one.take(100, 100), other.take(50, 100), one.take(50, 100)] == [0, 0.5, 1]


def test_a_bucket_is_empty_of_debt_exactly_when_it_was_waited_for() -> None:
    clock = Clock()
    bucket = buckets(clock).bucket("alice")
    assert bucket.take(300, 100) == 2
    clock.now += 2 * SECOND - 1
    assert bucket.take(0, 100) == 1e-9
    clock.now += 1
    assert [bucket.take(0, 100), bucket.take(1, 100)] == [0, 0.01]


def test_a_bucket_that_is_not_used_holds_one_second_s_worth_and_no_more() -> None:
    for pause, wait in ((1, 1), (2, 0), (3, 0), (1000, 0)):
        clock = Clock()
        bucket = buckets(clock).bucket("alice")
        bucket.take(100, 100)
        bucket.take(100, 100)
        clock.wait(pause)
        assert bucket.take(100, 100) == wait


def test_eight_names_have_a_place_where_there_are_eight_and_give_it_back_when_they_are_full() -> None:
    """The ninth has none: what it takes by one object another does not know of."""
    clock = Clock()
    small = buckets(clock, rows=16)
    for number in range(8):
        small.bucket(f"user {number}").take(100, 100)  # empty: full again in a second
    assert [small.bucket(f"user {number}").take(50, 100) for number in range(8)] == [0.5] * 8
    assert [small.bucket("late").take(100, 100), small.bucket("late").take(100, 100)] == [0, 0]
    clock.wait(1.5)  # all eight are full again
    assert [small.bucket("late").take(100, 100), small.bucket("late").take(100, 100)] == [0, 1]
    taken = [small.bucket(f"user {number}").take(100, 100) for number in range(7)]
    assert taken == [0] * 7
    assert [small.bucket(f"user {number}").take(100, 100) for number in range(7)] == [1] * 7


def test_a_bucket_gives_its_place_up_at_the_moment_in_which_it_is_full() -> None:
    for nanoseconds, is_free in ((SECOND - 1, False), (SECOND, True)):
        clock = Clock()
        small = buckets(clock, rows=16)
        for number in range(8):
            small.bucket(f"user {number}").take(100, 100)
        clock.now += nanoseconds
        small.bucket("late").take(200, 100)
        assert small.bucket("late").take(0, 100) == (1 if is_free else 0)


def test_a_bucket_that_lost_its_place_finds_another() -> None:
    clock = Clock()
    small = buckets(clock, rows=16)
    alice = small.bucket("alice")
    alice.take(100, 100)
    clock.wait(5)
    for number in range(8):
        small.bucket(f"user {number}").take(200, 100)
    assert alice.take(100, 100) == 0
    clock.wait(5)
    assert alice.take(200, 100) == 1
    assert small.bucket("alice").take(0, 100) == 1


def test_names_that_are_not_utf_8_have_buckets_too() -> None:
    shared = buckets(Clock())
    assert shared.bucket("\udcff").take(200, 100) == 1
    assert shared.bucket("\udcfe").take(100, 100) == 0


def test_without_a_table_buckets_are_those_of_one_process() -> None:
    clock = Clock()
    mine, others = RateBuckets(clock=clock), RateBuckets(clock=clock)
    assert [mine.bucket("alice").take(200, 100), others.bucket("alice").take(100, 100)] == [1, 0]
    assert mine.bucket("alice").take(100, 100) == 2
