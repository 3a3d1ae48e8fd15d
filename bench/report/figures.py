"""Figures that are computed from samples. Each knows its unit and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.records import Results, Sample, Spread, spread
from s3sftp.telemetry.costs import dollars

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Figure:
    """One column: what it is called, how it is computed, how many digits it deserves."""

    name: str
    of: Callable[[Sample], float | None]
    digits: int
    more_is_better: bool = False

    def spread(self, results: Results, work: str, setting: str, peer: str) -> Spread | None:
        return spread(results.of(work, setting, peer), self.of)

    def median(self, results: Results, work: str, setting: str, peer: str) -> float | None:
        found = self.spread(results, work, setting, peer)
        return found.median if found else None

    def shown(self, value: float) -> str:
        return f"{value:,.{self.digits}f}".replace(",", " ")


def per(amount: Callable[[Sample], float], of: Callable[[Sample], float]) -> Callable[[Sample], float | None]:
    """A quotient; None where there is nothing to divide by."""
    return lambda sample: amount(sample) / of(sample) if of(sample) else None


def value(name: str, factor: float = 1.0) -> Callable[[Sample], float | None]:
    """Something that only some works measure, times a factor."""
    return lambda sample: sample.values[name] * factor if name in sample.values else None


def unread(of: Callable[[Sample], float]) -> Callable[[Sample], float | None]:
    """What stands for the requests where the relay could not read them."""
    return lambda sample: None if sample.requests else of(sample)


SECONDS = Figure("seconds", lambda s: s.seconds, 2)
THROUGHPUT = Figure("MB/s", lambda s: s.bytes / s.seconds / 1e6 if s.bytes and s.seconds else None, 0, True)
FILES_RATE = Figure("files/s", per(lambda s: s.files, lambda s: s.seconds), 0, True)
CPU_PER_GIB = Figure("CPU s/GiB", per(lambda s: s.cpu_seconds * GIB, lambda s: s.bytes), 2)
CPU_PER_FILE = Figure("CPU ms/file", per(lambda s: s.cpu_seconds * 1000, lambda s: s.files), 2)
MEMORY = Figure("peak MiB", lambda s: s.peak_memory / (1 << 20), 0)
REQUESTS = Figure("S3 requests", lambda s: float(sum(s.requests.values())), 0)
REQUESTS_PER_FILE = Figure(
    "S3 requests/file", per(lambda s: float(sum(s.requests.values())), lambda s: s.files), 2
)
CONNECTIONS = Figure("S3 connections", unread(lambda s: s.connections), 0)
SENT = Figure("MiB to S3", unread(lambda s: s.sent / MIB), 0)
RECEIVED = Figure("MiB from S3", unread(lambda s: s.received / MIB), 0)
DOLLARS_PER_TIB = Figure("$/TiB", per(lambda s: dollars(s.requests) * (1 << 40), lambda s: s.bytes), 2)
DOLLARS_PER_MILLION = Figure(
    "$/million files", per(lambda s: dollars(s.requests) * 1e6, lambda s: s.files), 2
)
FIRST_BYTE_COLD = Figure("first byte, cold (ms)", value("first_byte_cold_seconds", 1000), 1)
FIRST_BYTE = Figure("first byte, later files (ms)", value("first_byte_seconds", 1000), 1)
FIRST_NAMES = Figure("first names (s)", value("first_names_seconds"), 3)
STATS_RATE = Figure("LSTATs/s", value("stats_per_second"), 0, True)
LATE = Figure("stored after (s)", value("stored_late_seconds"), 1)

PSS = Figure("PSS MiB", value("pss_bytes", 1 / MIB), 0)
CONNECTION_PSS = Figure("PSS KiB/connection", value("connection_bytes", 1 / 1024), 0)

TO_S3 = (REQUESTS, CONNECTIONS, SENT, RECEIVED)
TRANSFERS = (SECONDS, THROUGHPUT, CPU_PER_GIB, MEMORY, *TO_S3, DOLLARS_PER_TIB, LATE)
SMALL = (SECONDS, FILES_RATE, CPU_PER_FILE, MEMORY, *TO_S3, DOLLARS_PER_MILLION, LATE)
MANY = (SECONDS, THROUGHPUT, PSS, CONNECTION_PSS)
LOOKS = (
    SECONDS,
    FIRST_BYTE_COLD,
    FIRST_BYTE,
    FIRST_NAMES,
    FILES_RATE,
    STATS_RATE,
    CPU_PER_FILE,
    MEMORY,
    REQUESTS,
    DOLLARS_PER_MILLION,
)


def figures_of(work: str) -> tuple[Figure, ...]:
    """The columns of a work's table; those that it does not measure stay empty and are left out."""
    if work.startswith("memory"):
        return MANY
    if work.startswith(("small", "rename")):
        return SMALL
    moves = {"get", "put"} & set(work.split("-"))
    return TRANSFERS if moves else LOOKS


def speed_of(work: str) -> Figure:
    """What ratios are made of."""
    if work.startswith("stat"):
        return STATS_RATE
    return THROUGHPUT if THROUGHPUT in figures_of(work) else FILES_RATE
