"""The answer as text."""

from __future__ import annotations

from collections.abc import Iterator

from bench.capacity import requests as s3
from bench.capacity.coefficients import Coefficient, Coefficients
from bench.capacity.demand import MIB, Demand, Machine
from bench.capacity.requirements import GIB, MONTH_HOURS, Needs

TRANSFER_FAMILY_DATE = "2026-11"
TRANSFER_FAMILY_HOUR = 0.30
TRANSFER_FAMILY_GB = 0.04
"""List prices of AWS Transfer Family for one SFTP endpoint, us-east-1, of that month: to be checked before
they are relied upon. A GB is taken for a GiB."""


def report(demand: Demand, costs: Coefficients, machine: Machine, found: Needs) -> str:
    """All of it, section by section."""
    lines = [*_work(demand, found), *_replicas(machine, found), *_storage(found), *_money(found)]
    return "\n".join([*lines, *_sources(costs)])


def _work(demand: Demand, found: Needs) -> Iterator[str]:
    day = demand.partners * demand.files_per_day
    yield f"Work       {day:,.0f} files a day, {day * demand.mean_bytes / GIB:,.1f} GiB a day"
    busiest = (demand.uploads + demand.downloads) * demand.peak_factor
    yield f"  at peak  {busiest:,.1f} files/s, {found.peak_bytes / 1e6:,.1f} MB/s (each byte passes twice)"


def _replicas(machine: Machine, found: Needs) -> Iterator[str]:
    yield (
        f"Replicas   {found.replicas} with {found.workers} processors and workers each"
        f" ({machine.spare} of them may be missing)"
    )
    yield f"  at peak  {found.peak_processors:.2f} processors busy, {machine.utilization:.0%} of each at most"
    yield f"  memory   {found.memory_bytes / MIB:,.0f} MiB each, when those are missing"


def _storage(found: Needs) -> Iterator[str]:
    apis = ", ".join(f"{api} {rate:,.2f}" for api, rate in sorted(found.requests.items()) if rate)
    yield f"S3         {apis} requests/s in the mean of the day"
    yield (
        f"  at peak  {found.peak_writes:,.0f} writes/s of {s3.WRITES_PER_SECOND},"
        f" {found.peak_reads:,.0f} reads/s of {s3.READS_PER_SECOND} that one partition takes:"
        f" {found.partitions} partition{'s' * (found.partitions > 1)}"
    )


def _money(found: Needs) -> Iterator[str]:
    ours = found.request_dollars + found.compute_dollars
    parts = f"S3 requests ${found.request_dollars:,.2f}, compute ${found.compute_dollars:,.2f}"
    yield f"A month    ${ours:,.2f}: {parts}"
    yield "           (no storage, no traffic, no load balancer, no logs)"
    theirs = TRANSFER_FAMILY_HOUR * MONTH_HOURS + TRANSFER_FAMILY_GB * found.gib_per_month
    yield (
        f"           AWS Transfer Family in place of the compute, by its list price of {TRANSFER_FAMILY_DATE}"
        f" (to be checked): ${theirs:,.2f}"
    )


def _sources(costs: Coefficients) -> Iterator[str]:
    yield "Taken from"
    for says, scale, unit, coefficient in (
        ("up", 1, "CPU s/GiB", costs.put_gib),
        ("down", 1, "CPU s/GiB", costs.get_gib),
        ("small file up", 1000, "CPU ms", costs.put_file),
        ("small file down", 1000, "CPU ms", costs.get_file),
        ("listed name", 1e6, "CPU µs", costs.name),
        ("login by key", 1000, "CPU ms", costs.login),
        ("worker", 1 / MIB, "MiB", costs.worker_bytes),
        ("idle connection", 1 / 1024, "KiB", costs.connection_bytes),
        ("busy session", 1 / MIB, "MiB", costs.session_bytes),
    ):
        yield f"  {says:16} {coefficient.value * scale:8.2f} {unit:10} {_source(coefficient)}"


def _source(coefficient: Coefficient) -> str:
    return coefficient.source if coefficient.measured else f"a default; measure it: {coefficient.source}"


def warnings(demand: Demand, found: Needs) -> Iterator[str]:
    """What an operator should know before believing it."""
    each = found.peak_writes / s3.WRITES_PER_SECOND / max(1, demand.partners)
    if each > 1:
        yield "each partner alone writes more than a partition takes: give each several prefixes"
    elif found.partitions > 1:
        yield "more than one partition: a prefix for each user, and time for S3 to split them (docs/scale.md)"
