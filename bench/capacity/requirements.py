"""What a demand needs. Pure.

files, bytes, listings, logins ─► CPU seconds a second ─► workers ─► replicas ─► memory of each
                               └► S3 requests a second, against the limits of a partition
                               └► money a month
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.capacity import requests as s3
from bench.capacity.coefficients import Coefficients
from bench.capacity.demand import Demand, Machine
from s3sftp.telemetry.costs import dollars

GIB = 1 << 30
SMALL_BYTES = 10_000
"""Size of the files that the cost of a small file was measured with."""
MONTH_HOURS = 730
MONTH_SECONDS = MONTH_HOURS * 3600
MAX_CONNECTIONS = 2000
"""Default of `ssh.max_connections`."""
SPARE_BYTES = 64 << 20
"""Of each worker: `s3sftp.fs.open_storage` keeps so much at most."""


@dataclass(frozen=True)
class Needs:
    """The answer."""

    requests: Mapping[str, float]
    """To S3, a second, in the mean of the day."""
    peak_writes: float
    peak_reads: float
    peak_processors: float
    """Processors that are busy."""
    peak_bytes: float
    """Files' bytes a second, both directions. Each passes a replica's network twice."""
    replicas: int
    workers: int
    """Of each replica."""
    memory_bytes: float
    """Of each replica, when the spare ones are missing."""
    request_dollars: float
    """A month."""
    compute_dollars: float
    gib_per_month: float

    @property
    def partitions(self) -> int:
        """Partitions that S3 must have made of the keys for the peak."""
        return max(
            1,
            math.ceil(
                max(self.peak_writes / s3.WRITES_PER_SECOND, self.peak_reads / s3.READS_PER_SECOND),
            ),
        )


def needs(demand: Demand, costs: Coefficients, machine: Machine) -> Needs:
    """What it takes."""
    mean = requests_per_second(demand)
    peak = demand.peak_factor
    processors = processors_busy(demand, costs) * peak
    serving = _replicas(demand, machine, processors)
    replicas = serving + machine.spare
    moved = (demand.uploads + demand.downloads) * demand.mean_bytes
    return Needs(
        requests=mean,
        peak_writes=s3.writes(mean) * peak,
        peak_reads=s3.reads(mean) * peak,
        peak_processors=processors,
        peak_bytes=moved * peak,
        replicas=replicas,
        workers=machine.processors,
        memory_bytes=_memory(demand.connections / serving, demand.busy_share, costs, machine),
        request_dollars=_price(mean) * MONTH_SECONDS,
        compute_dollars=replicas * machine.processors * machine.dollars_per_vcpu_hour * MONTH_HOURS,
        gib_per_month=moved * MONTH_SECONDS / GIB,
    )


def requests_per_second(demand: Demand) -> dict[str, float]:
    """S3 requests by API, in the mean of the day."""
    total: dict[str, float] = {}
    for rate, each in _operations(demand):
        for api, number in each.items():
            total[api] = total.get(api, 0.0) + rate * number
    return total


def _operations(demand: Demand) -> list[tuple[float, s3.Requests]]:
    """How often a second, and what each asks for."""
    return [
        (demand.uploads, s3.put(demand.mean_bytes)),
        (demand.uploads * demand.stat_before_put, s3.stat(exists=False)),
        (demand.uploads * demand.rename_share, s3.rename()),
        (demand.downloads, s3.get(demand.mean_bytes)),
        (demand.listings, s3.listing(demand.names_per_listing)),
    ]


def processors_busy(demand: Demand, costs: Coefficients) -> float:
    """CPU seconds of servers a second, in the mean of the day."""
    up = file_seconds(demand.mean_bytes, costs.put_file.value, costs.put_gib.value)
    down = file_seconds(demand.mean_bytes, costs.get_file.value, costs.get_gib.value)
    return (
        demand.uploads * up
        + demand.downloads * down
        + demand.listings * demand.names_per_listing * costs.name.value
        + demand.logins * costs.login.value
    )


def file_seconds(size: int, per_small_file: float, per_gib: float) -> float:
    """CPU seconds for one file: what a small one takes, and its further bytes."""
    return per_small_file + max(0, size - SMALL_BYTES) * per_gib / GIB


def _replicas(demand: Demand, machine: Machine, processors: float) -> int:
    by_processors = processors / (machine.processors * machine.utilization)
    return max(1, math.ceil(by_processors), math.ceil(demand.connections / MAX_CONNECTIONS))


def _memory(connections: float, busy_share: float, costs: Coefficients, machine: Machine) -> float:
    processes = machine.processors * costs.worker_bytes.value
    if machine.processors > 1:
        processes += costs.supervisor_bytes.value
    each = costs.connection_bytes.value + busy_share * costs.session_bytes.value
    # memory of stored chunks waits for the next ones beside the budget: fs/open_storage.py
    spare = min(machine.buffer_bytes // 2, machine.processors * SPARE_BYTES)
    return processes + machine.buffer_bytes + spare + connections * each


def _price(requests: Mapping[str, float]) -> float:
    return sum(dollars({api: 1}) * number for api, number in requests.items())
