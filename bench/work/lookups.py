"""First bytes, listings, STATs: a raw client that pipelines what it can, OpenSSH's ssh under it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.clients.raw import raw_client
from bench.failures import WrongResult
from bench.test_data import BenchFiles
from bench.work.workload import DISTANCES, LOOKS, SYNTHETIC, Outcome, Task

LIMIT = 300.0
SYNTHETIC_SECONDS = 60
"""A server that asks S3 about each name would need an hour for a million."""


class _Metadata:
    """Changes nothing and moves no bytes worth a check."""

    peers: Sequence[str] = LOOKS
    settings: Sequence[str] = DISTANCES
    changes = False
    names = 0

    def check(self, task: Task) -> None:
        """Nothing: the run itself has counted what came."""


class FirstByte(_Metadata):
    """OPEN and the first READ, of one file after the other."""

    name = "first-byte"
    seed = "objects"

    def about(self, material: BenchFiles) -> str:
        return f"OPEN and the first READ of {len(material.files('objects'))} files, one after the other"

    def run(self, task: Task) -> Outcome:
        paths = [task.serving.remote(f"objects/{name}") for name in task.material.files("objects")]
        with raw_client(task.serving, task.scratch / "client.log", LIMIT) as client:
            cold, *later = [client.first_byte(path) for path in paths]
        values = {"first_byte_cold_seconds": cold, "first_byte_seconds": statistics.median(later)}
        return Outcome(cold + sum(later), files=len(paths), values=values)


class Listing(_Metadata):
    """A directory of small files, `again`: which the server has listed before."""

    seed = "small"

    def __init__(self, name: str, *, again: bool) -> None:
        self.name = name
        self._again = again

    def about(self, material: BenchFiles) -> str:
        which = "second" if self._again else "first"
        return f"{which} listing of {len(material.files('small'))} files, READDIR after READDIR"

    def run(self, task: Task) -> Outcome:
        wanted, path = len(task.material.files("small")), task.serving.remote("small")
        if self._again:
            _listed(task, path, wanted)
        return _listed(task, path, wanted)


@dataclass(frozen=True)
class SyntheticListing:
    """The root of an S3 that has many names and answers each page at once."""

    name: str
    names: int
    peers: Sequence[str] = SYNTHETIC
    settings: Sequence[str] = ("plain",)
    seed = ""
    changes = False

    def about(self, material: BenchFiles) -> str:
        return (
            f"listing of {self.names} names on a synthetic S3, READDIR after READDIR, until the end or for"
            f" {SYNTHETIC_SECONDS} s"
        )

    def run(self, task: Task) -> Outcome:
        return _listed(task, task.serving.remote(""), self.names, SYNTHETIC_SECONDS)

    def check(self, task: Task) -> None:
        """Nothing: the run has counted the names."""


class Stats(_Metadata):
    """LSTATs of every file of a directory, none waiting for another."""

    seed = "small"

    def __init__(self, name: str, *, listed: bool) -> None:
        self.name = name
        self._listed = listed

    def about(self, material: BenchFiles) -> str:
        first = "a listing, then " if self._listed else ""
        return f"{first}{len(material.files('small'))} pipelined LSTATs, each of another file"

    def run(self, task: Task) -> Outcome:
        paths = [task.serving.remote(f"small/{name}") for name in task.material.files("small")]
        with raw_client(task.serving, task.scratch / "client.log", LIMIT) as client:
            listing = client.list(task.serving.remote("small"))[2] if self._listed else 0.0
            storm = client.lstat_all(paths)
        return Outcome(listing + storm, files=len(paths), values={"stats_per_second": len(paths) / storm})


def _listed(task: Task, path: str, wanted: int, limit: float = math.inf) -> Outcome:
    with raw_client(task.serving, task.scratch / "client.log", LIMIT) as client:
        count, first, seconds = client.list(path, limit)
    if count - wanted not in (0, 2) and seconds < limit:  # `.` and `..`
        raise WrongResult(f"{count} names were listed, {wanted} are there")
    return Outcome(seconds, files=min(count, wanted), values={"first_names_seconds": first})
