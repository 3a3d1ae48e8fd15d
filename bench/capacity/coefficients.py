"""What work takes of a processor and of memory, from a file of results.

What a file does not have is a default, and the command says so with how to measure it. Defaults are rough:
one run on two cores of a shared machine, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.records import Results, load
from bench.report.figures import CPU_PER_FILE, CPU_PER_GIB

RESULTS = Path(__file__).parents[1] / "results"
MIB = 1 << 20
_PEER = "s3sftp"
_SETTING = "plain"
_STANDING = "python -m bench.idle_costs"


@dataclass(frozen=True)
class Coefficient:
    """One number, and where it is from."""

    value: float
    source: str
    """The file that it was measured in, or how to measure it."""
    measured: bool = False


@dataclass(frozen=True)
class Coefficients:
    """Everything that the model needs to know of the server and its machine."""

    put_gib: Coefficient
    """CPU seconds for each GiB that goes up."""
    get_gib: Coefficient
    put_file: Coefficient
    """CPU seconds for each small file that goes up, its few bytes included."""
    get_file: Coefficient
    name: Coefficient
    """CPU seconds for each name that is listed."""
    login: Coefficient = Coefficient(0.006, _STANDING)
    """CPU seconds of a login by key. One by password takes what its Argon2id hash asks for besides."""
    supervisor_bytes: Coefficient = Coefficient(60 * MIB, _STANDING)
    worker_bytes: Coefficient = Coefficient(150 * MIB, _STANDING)
    """An idle one has 90 MiB, and has had 140 while it started."""
    connection_bytes: Coefficient = Coefficient(64 << 10, _STANDING)
    """With an idle session."""
    session_bytes: Coefficient = Coefficient(8 * MIB, "pytest tests/limits/test_memory.py")
    """The most that a busy session takes beyond `files.buffer_bytes`: a bound, not a measurement."""


_DEFAULTS = {
    "put_gib": ("put", 9.0),
    "get_gib": ("get", 8.0),
    "put_file": ("small-put", 0.004),
    "get_file": ("small-get", 0.005),
    "name": ("list", 0.0001),
}
"""The work that measures a coefficient, and what to take where it was not done."""


def newest(folder: Path = RESULTS) -> Path | None:
    """The last file of results by its date, which is its name."""
    return max(folder.glob("*.json"), default=None)


def coefficients(file: Path | None) -> Coefficients:
    """From a file of results, as far as it has them."""
    results = load(file) if file else None
    return Coefficients(**{name: _of(name, results, file) for name in _DEFAULTS})


def _of(name: str, results: Results | None, file: Path | None) -> Coefficient:
    work, default = _DEFAULTS[name]
    if results is not None and file is not None:
        figure, unit = (CPU_PER_GIB, 1.0) if name.endswith("_gib") else (CPU_PER_FILE, 0.001)
        median = figure.median(results, work, _SETTING, _PEER)
        if median is not None:
            return Coefficient(median * unit, f"{file.name}: {work}", measured=True)
    return Coefficient(default, f"python -m bench --only {work} --peers {_PEER} --settings {_SETTING}")
