"""As much ahead as distance and speed demand, and no more."""

from __future__ import annotations

import pytest

from s3sftp.fs.read.throughput import Throughput, ThroughputSample

MB = 1_000_000
RANGE = 8 * MB


def read(
    pace: Throughput, reader: float, latency: float, connection: float, most: int, seconds: float = 10
) -> float:
    """A reader that could take `reader` bytes a second, from a storage that is so far; the last rate."""
    now, rate = 0.0, 0.0
    pace.answered(latency)
    pace.arrived(RANGE, RANGE / connection)
    while now < seconds:
        ahead = min(most, pace.ahead)
        # Little's law: what is on its way, by how long it is on its way
        rate = min(reader, ahead / (latency + RANGE / connection))
        now += 0.02
        pace.took(int(rate * 0.02), now)
    return rate


@pytest.mark.parametrize("latency", [0.001, 0.03, 0.2])
@pytest.mark.parametrize("connection", [40 * MB, 80 * MB, 500 * MB])
def test_a_reader_gets_all_that_it_can_take_however_far_the_storage_is(
    latency: float, connection: float
) -> None:
    assert read(Throughput(RANGE), 250 * MB, latency, connection, most=1000 * MB) == 250 * MB


def test_what_is_ahead_grows_with_the_distance_and_with_the_reader() -> None:
    def ahead(reader: float, latency: float) -> int:
        pace = Throughput(RANGE)
        read(pace, reader, latency, 80 * MB, most=1000 * MB)
        return pace.ahead

    assert ahead(250 * MB, 0.001) < ahead(250 * MB, 0.03) < ahead(250 * MB, 0.2)
    assert ahead(1 * MB, 0.2) == 2 * RANGE < ahead(250 * MB, 0.2)


def test_a_storage_that_is_near_takes_little_memory() -> None:
    pace = Throughput(RANGE)
    read(pace, 250 * MB, 0.002, 500 * MB, most=1000 * MB)
    assert pace.ahead < 3 * RANGE


def test_bytes_that_wait_for_the_reader_do_not_make_the_storage_look_far() -> None:
    pace = Throughput(RANGE)
    read(pace, 10 * MB, 0.01, 500 * MB, most=1000 * MB)
    before = pace.ahead
    for _ in range(20):
        pace.answered(5.0)
        pace.arrived(RANGE, 5.0)
    assert pace.ahead == before


def test_before_anything_is_known_two_ranges_are_enough() -> None:
    assert Throughput(RANGE).ahead == 2 * RANGE


def test_the_speed_of_a_connection_is_what_comes_without_a_pause_of_ours() -> None:
    pace = Throughput(RANGE)
    pace.answered(0.0)
    stretch = ThroughputSample(pace)
    for number in range(100):
        stretch.came(256 << 10, number * (256 << 10) / (80 * MB))
    assert pace.range_seconds == pytest.approx(RANGE / (80 * MB), rel=0.01)


def test_what_came_while_nobody_wanted_it_is_no_speed() -> None:
    pace = Throughput(RANGE)
    pace.answered(0.01)
    stretch = ThroughputSample(pace)
    for number in range(50):
        stretch.paused()
        stretch.came(512 << 10, float(number))
        stretch.came(512 << 10, float(number))
    assert pace.range_seconds == 0.01
