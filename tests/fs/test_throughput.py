"""As much ahead as distance and speed demand, and no more."""

from __future__ import annotations

import pytest

from s3sftp.fs.read.read_ahead import Throughput, ThroughputSample

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


def test_the_rate_of_a_reader_is_that_of_a_tenth_of_a_second_and_fades_by_a_tenth() -> None:
    pace = Throughput(100)
    pace.answered(1.0)
    pace.took(400, 5.0)
    pace.took(600, 5.09375)
    assert pace.ahead == 200, "not yet a window"
    pace.took(0, 5.125)
    assert pace.ahead == 100 + 2 * 8000
    pace.took(500, 5.25)
    assert pace.ahead == 100 + 2 * 7200, "more than the 4000 of this window"
    pace.took(1000, 5.375)
    assert pace.ahead == 100 + 2 * 8000


def test_a_window_is_a_tenth_of_a_second_and_before_its_end_nothing_is_known() -> None:
    pace = Throughput(1)
    pace.answered(10.0)
    pace.took(0, 0.0)
    assert pace.ahead == 2
    pace.took(100, 0.1)
    assert pace.ahead == 1 + 2 * 1000 * 10


def test_the_shortest_wait_and_the_fastest_connection_are_the_storages() -> None:
    pace = Throughput(100)
    for seconds in (0.5, 0.25, 1.0):
        pace.answered(seconds)
    assert pace.range_seconds == 0.25
    for count, seconds in ((100, 1.0), (100, 0.5), (100, 4.0)):
        pace.arrived(count, seconds)
    assert pace.range_seconds == 0.75
    pace.arrived(1, 0.0)
    assert pace.range_seconds == pytest.approx(0.25 + 1e-4)


def test_a_stretch_begins_after_a_mebibyte_and_is_measured_by_two() -> None:
    pace = Throughput(8 << 20)
    stretch = ThroughputSample(pace)
    mib = 1 << 20
    stretch.came(mib, 1.0)
    stretch.came(mib, 1.5)
    assert pace.range_seconds == 0
    stretch.came(mib, 2.0)
    assert pace.range_seconds == 4, "2 MiB in a second"
    stretch.came(2 * mib, 2.5)
    assert pace.range_seconds == 2, "the next two alone"
    stretch.paused()
    stretch.came(mib - 1, 3.0)
    stretch.came(1, 3.0)
    stretch.came(2 * mib, 3.25)
    assert pace.range_seconds == 1
