"""How much is kept, as the metrics of each server show it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends.s3.kept.kept_sweeper import KeptSweeper
from s3sftp.backends.s3.kept.kept_totals import KeptTotals
from s3sftp.backends.s3.kept.records import KeptRecord
from s3sftp.backends.s3.recovery.janitor import Janitor
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from s3sftp.telemetry.metric_catalogue import ROWS
from s3sftp.telemetry.metrics import Metrics
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.kept_replica import DATA, Replica
from tests.support.fault_proxy import FaultProxy
from tests.support.parsed_metrics import of


class Server:
    """A replica with metrics of its own. Its sweeper sweeps when it is told to."""

    def __init__(self, replica: Replica, metrics: Metrics) -> None:
        self.replica = replica
        self.metrics = metrics
        self.sweeper = KeptSweeper(replica.kept)

    @property
    def totals(self) -> tuple[float, float]:
        return totals_of(self.metrics)


def totals_of(metrics: Metrics) -> tuple[float, float]:
    numbers = of(metrics)
    return numbers("kept_uploads", storage="_s3"), numbers("kept_upload_bytes", storage="_s3")


async def _server(open_backend: Opener, state: Path | None = None, **changes: Any) -> Server:
    metrics = Metrics()
    return Server(Replica(await open_backend(state, metrics, **changes)), metrics)


@pytest.fixture
async def one(open_backend: Opener) -> Server:
    return await _server(open_backend)


@pytest.fixture
async def other(open_backend: Opener) -> Server:
    return await _server(open_backend)


async def test_what_this_server_does_shows_without_a_sweep(one: Server) -> None:
    await one.replica.lose(1, DATA[PART : PART + 4])
    await one.replica.lose(0, b"more", "g")
    assert one.totals == (2, PART + 8)
    upload = await one.replica.begin(exclusive=True)
    assert await one.replica.kept.adopt(upload, ALICE, None) is not None
    assert one.totals == (1, 4), "it runs again"
    assert await one.replica.kept.keep(upload, DATA[PART : PART + 6], ALICE) == PART + 6
    assert one.totals == (2, PART + 10)
    await one.replica.go_on()
    assert one.totals == (1, 4)
    assert await one.replica.kept.discard(place("g"), ALICE, by_removal=True)
    assert one.totals == (0, 0)


async def test_a_new_upload_takes_what_was_kept_out_of_the_totals(one: Server) -> None:
    await one.replica.lose(1, b"tail")
    await one.replica.send(await one.replica.begin(), 1)
    assert one.totals == (0, 0)


async def test_what_another_server_does_shows_with_the_next_sweep(one: Server, other: Server) -> None:
    await one.replica.lose(1, DATA[PART : PART + 4])
    assert other.totals == (0, 0)
    await other.sweeper.sweep()
    assert other.totals == (1, PART + 4)
    await one.replica.go_on()
    assert other.totals == (1, PART + 4)
    await other.sweeper.sweep()
    assert other.totals == (0, 0)


async def test_uploads_that_run_are_not_counted_wherever_they_run(one: Server, other: Server) -> None:
    await one.replica.send(await one.replica.begin(), 1)
    for server in (one, other):
        await server.sweeper.sweep()
        assert server.totals == (0, 0)


async def test_what_is_too_old_goes_out_of_the_totals(one: Server) -> None:
    await one.replica.lose(1, b"tail")
    one.replica.kept.limits = replace(one.replica.kept.limits, seconds=-10)
    assert await one.sweeper.sweep() == 1
    assert one.totals == (0, 0)


async def test_what_a_killed_server_has_left_is_counted_with_its_bytes_once_it_is_taken_over(
    open_backend: Opener, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"janitor_min_age": timedelta(0), "journal": "disk"}
    dead = (await _server(open_backend, tmp_path / "state", **options)).replica
    await dead.send(await dead.begin(), 2)
    await dead.backend.journal.stop()  # lets go of the lock, as a process that was killed
    other = await _server(open_backend, tmp_path / "state", **options)
    backend = other.replica.backend
    await backend.janitor.stop()
    janitor = Janitor(backend.client, backend.journal)
    janitor.spares(other.replica.kept.keeps)
    await janitor.sweep()
    assert other.totals == (1, 2 * PART)
    await other.sweeper.sweep()
    assert other.totals == (1, 2 * PART)


async def test_a_sweep_reads_each_version_of_a_record_once(
    one: Server, other: Server, proxy: FaultProxy
) -> None:
    await one.replica.lose(0, b"a", "a")
    await one.replica.lose(0, b"b", "b")
    for reads in (2, 0):
        proxy.log.clear()
        await other.sweeper.sweep()
        assert dict(proxy.log.by_api()) == {"ListObjectsV2": 1} | ({"GetObject": reads} if reads else {})
    await one.replica.lose(0, b"bb", "b")
    proxy.log.clear()
    await other.sweeper.sweep()
    assert dict(proxy.log.by_api()) == {"ListObjectsV2": 1, "GetObject": 1}
    assert other.totals == (2, 3)


async def test_a_server_that_has_stopped_shows_nothing(one: Server) -> None:
    await one.replica.lose(0, b"a")
    await one.sweeper.stop()
    assert one.totals == (0, 0)


def test_the_workers_of_a_server_share_the_totals_and_one_of_them_counts() -> None:
    descriptor = create_shared_file(ROWS, 3)
    processes = [Metrics(SharedCounters.shared(descriptor, 3, column), 2) for column in range(3)]
    totals = [KeptTotals(metrics, "") for metrics in processes]
    assert [each.are_counted_here for each in totals] == [True, False, False]
    kept = KeptRecord("alice", "x", "", "", "kept", 0, 0, size=7)
    totals[1].added(kept)
    totals[0].added(kept)
    assert [totals_of(metrics) for metrics in processes] == [(2, 14)] * 3
    for _ in range(3):
        totals[1].removed(kept)
    assert totals_of(processes[0]) == (0, 0), "and never less"
    totals[0].found([7])
    assert totals_of(processes[2]) == (1, 7)
