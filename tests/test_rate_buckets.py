"""Token buckets: what is taken in any time is bounded, nobody starves, and processes share them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from s3sftp.runtime.rate_buckets import ROWS, RateBuckets
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file

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


TAKER = """
import sys, time
from s3sftp.runtime.rate_buckets import RateBuckets
from s3sftp.runtime.shared_counters import SharedCounters
descriptor, column, rate, seconds = map(int, sys.argv[1:])
mine = RateBuckets(SharedCounters.shared(descriptor, 3, column)).bucket("alice")
print("ready", flush=True)
sys.stdin.readline()
deadline, taken = time.monotonic() + seconds, 0
while time.monotonic() < deadline:
    time.sleep(mine.take(1000, rate))
    taken += 1000
print(taken)
"""


def test_processes_share_a_bucket() -> None:
    rate, seconds, count = 100_000, 2, 2
    descriptor = create_shared_file(ROWS, 3)
    try:
        takers = [
            subprocess.Popen(
                [sys.executable, "-c", TAKER, *map(str, (descriptor, column, rate, seconds))],
                pass_fds=[descriptor],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for column in range(count)
        ]
        for taker in takers:
            assert taker.stdout is not None
            assert taker.stdout.readline() == "ready\n"
        began = time.monotonic()
        taken = [int(taker.communicate("go\n", timeout=60)[0]) for taker in takers]
        passed = time.monotonic() - began
        assert sum(taken) <= rate * (passed + 1) + 1000 * count
        assert min(taken) > 0
    finally:
        os.close(descriptor)
