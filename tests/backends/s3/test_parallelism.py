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


class Filled:
    """A client that fills all places of a window, round by round."""

    def __init__(self, most: int = 16) -> None:
        self.window = PartParallelism(most)
        self.now = 0.0
        self.under_way = 0

    def fill(self) -> None:
        while self.under_way < self.window.size:
            self.window.began(self.now)
            self.under_way += 1

    def round(self, rate: float) -> int:
        """As many parts as there are places end, so many of them a second; the places that there are then."""
        count = self.window.size
        for left in reversed(range(count)):
            self.fill()
            if not left:
                self.now += count / rate
            self.window.ended(PART, self.now)
            self.under_way -= 1
        return self.window.size


def test_places_grow_by_half_as_long_as_a_round_is_faster_by_a_tenth() -> None:
    client = Filled()
    assert [client.round(rate) for rate in (4, 4.5, 5, 5.6, 6.2, 7)] == [6, 9, 13, 16, 16, 16]
    client = Filled(most=7)
    assert [client.round(rate) for rate in (4, 10, 20)] == [6, 7, 7]


def test_what_was_no_faster_is_taken_back_and_tried_again_after_eight_rounds() -> None:
    client = Filled()
    assert [client.round(rate) for rate in (4, 10, 10.9)] == [6, 9, 6]
    assert [client.round(100) for _ in range(8)] == [6] * 8
    assert client.round(111) == 9, "by what the last of them was"
    assert client.round(122) == 6
    assert [client.round(10) for _ in range(8)] == [6] * 8
    assert client.round(10) == 6
    assert [client.round(rate) for rate in [100] * 8 + [1000]] == [6] * 8 + [9]


def test_a_round_in_which_a_place_was_empty_shows_nothing() -> None:
    client = Filled()
    client.fill()
    client.window.failed()
    for _ in range(4):
        client.window.ended(PART, 1.0)
        client.window.began(1.0)
    assert client.window.size == 4
    client.now, client.under_way = 1.0, 3
    assert client.round(1) == 6, "the next one is full again"


def test_a_round_that_took_no_time_shows_nothing() -> None:
    client = Filled()
    assert client.round(float("inf")) == 4
    assert client.round(4) == 6


@pytest.mark.parametrize(("moved", "size"), [(0, 4), (1, 6)])
def test_the_first_round_is_faster_than_nothing_if_it_moved_anything(moved: int, size: int) -> None:
    window = PartParallelism(16)
    for now in range(4):
        window.began(now)
    for _ in range(4):
        window.ended(moved, 4)
        window.began(4)
    assert window.size == size


def test_a_round_lasts_from_the_first_part_to_the_last_that_ends() -> None:
    window = PartParallelism(16)
    for now in (0.0, 0.25, 0.5, 0.75):
        window.began(now)
    for now in (1.0, 1.25, 1.5, 2.0):
        window.ended(PART, now)
        window.began(now)
    assert window.size == 6
    assert window._best == 4 * PART / 2
