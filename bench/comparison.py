"""The CPU time of several servers at the same work, which take turns."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from bench.clients import openssh
from bench.environment import BenchEnvironment
from bench.meter import Meter
from bench.peers.s3sftp import S3Sftp
from bench.serving import serving
from bench.sizes import Sizes
from bench.stored_objects import Stored
from bench.work import Task, Workload
from testbed.s3_store import Store

_GIB = 1 << 30


def measured(
    environment: BenchEnvironment,
    work: Workload,
    store: Store,
    servers: Sequence[S3Sftp],
    runs: int,
    settle_seconds: float = 0.0,
) -> dict[str, list[float]]:
    """Return the CPU seconds of each run, by the server's name. With `settle_seconds` what a first connection
    loads does not count, and what is left to do after the work does: there is so much time for both."""
    seconds = defaultdict(list)
    for run in range(runs):
        for server in servers if run % 2 == 0 else reversed(servers):
            seconds[server.name].append(_run(environment, work, store, server, settle_seconds))
    return seconds


def scale_of(work: str, sizes: Sizes) -> tuple[float, str]:
    """By what to multiply seconds for a number that people can compare, and its unit."""
    small = work.startswith("small")
    return (1000 / sizes.files, "CPU ms a file") if small else (_GIB / sizes.stream, "CPU s a GiB")


def _run(
    environment: BenchEnvironment, work: Workload, store: Store, peer: S3Sftp, settle_seconds: float
) -> float:
    with (
        environment.scratch() as scratch,
        environment.place(peer, work.seed, shared=not work.changes) as place,
        serving(peer, environment.site(place, scratch / "server", store)) as server,
    ):
        stored = Stored(environment, server, scratch)
        task = Task(server, environment.material, scratch, stored.await_all, stored.check)
        if settle_seconds:
            openssh.sftp(server, [["ls"]], scratch, 60)
            time.sleep(settle_seconds)
        meter = Meter(server.process.pid)
        meter.start()
        try:
            work.run(task)
            time.sleep(settle_seconds)
        except BaseException:
            meter.cancel()
            raise
        return meter.stop()[0]
