"""The works: what is asked of every peer."""

from __future__ import annotations

from bench.sizes import Sizes
from bench.work.large_files import Get, Put
from bench.work.lookups import FirstByte, Listing, Stats, SyntheticListing
from bench.work.many_files import Download, Rename, Upload
from bench.work.workload import Outcome, Task, Workload

__all__ = ["Outcome", "Task", "Workload", "works"]


def works(sizes: Sizes) -> dict[str, Workload]:
    """All of them, in the order in which they are done."""
    every: tuple[Workload, ...] = (
        Get("get", "stream"),
        Put("put", "stream"),
        Get("get-parallel", "streams"),
        Put("put-parallel", "streams"),
        FirstByte(),
        Upload("small-put", "small"),
        Download("small-get", "small"),
        Upload("mixed-put", "mixed"),
        Download("mixed-get", "mixed"),
        Listing("list", again=False),
        Listing("list-again", again=True),
        SyntheticListing("list-names", sizes.names),
        SyntheticListing("list-many-names", sizes.many_names),
        Stats("stat", listed=False),
        Stats("stat-listed", listed=True),
        Rename(),
        Get("pair-get", "pair", WORKERS),
        Put("pair-put", "pair", WORKERS),
    )
    return {work.name: work for work in every}


WORKERS = ("s3sftp-1w", "s3sftp-2w")
