"""More parts at once as long as that brings more."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.write.parallelism import PartParallelism

PART = 8 << 20


def send(window: PartParallelism, parts: int, latency: float, connection: float, network: float) -> float:
    """Send parts as fast as a store allows; bytes a second. `network` is what all connections share."""
    now, line_free, ends = 0.0, 0.0, []
    waiting, done = parts, 0
    while done < parts:
        while waiting and len(ends) < window.size:
            window.began(now)
            line_free = max(now, line_free) + PART / network
            heapq.heappush(ends, max(now + latency + PART / connection, line_free + latency))
            waiting -= 1
        now = heapq.heappop(ends)
        window.ended(PART, now)
        done += 1
    return parts * PART / now


def test_a_store_that_is_far_gets_more_parts_at_once() -> None:
    window = PartParallelism(16)
    rate = send(window, 200, latency=0.2, connection=80e6, network=1e9)
    assert window.size >= 13
    assert rate > 2 * send(PartParallelism(4), 200, latency=0.2, connection=80e6, network=1e9)


def test_a_network_that_is_full_gets_no_more_than_fill_it() -> None:
    window = PartParallelism(16)
    send(window, 200, latency=0.001, connection=1e9, network=100e6)
    assert window.size <= 6


def test_a_client_that_is_slower_than_the_store_changes_nothing() -> None:
    window = PartParallelism(16)
    for number in range(100):
        window.began(float(number))
        window.ended(PART, number + 0.1)
    assert window.size == 4


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_option_is_the_limit_from_the_beginning(most: int) -> None:
    window = PartParallelism(most)
    send(window, 50, latency=0.2, connection=80e6, network=1e9)
    assert window.size <= most


@given(
    st.integers(1, 64),
    st.lists(st.tuples(st.sampled_from(["began", "ended", "failed"]), st.floats(0, 10)), max_size=200),
)
def test_whatever_happens_it_stays_between_one_and_the_most(
    most: int, steps: list[tuple[str, float]]
) -> None:
    window, now, under_way = PartParallelism(most), 0.0, 0
    for step, pause in steps:
        now += pause
        if step == "began":
            window.began(now)
            under_way += 1
        elif under_way:
            under_way -= 1
            window.ended(PART, now) if step == "ended" else window.failed()
        assert 1 <= window.size <= most
