"""The works: what is asked of every peer."""

from __future__ import annotations

from bench.clients.openssh import CTR, CTR256, GCM
from bench.sizes import Sizes
from bench.work.large_files import Get, Put
from bench.work.lookups import FirstByte, Listing, Stats, SyntheticListing
from bench.work.many_files import Download, Rename, Upload
from bench.work.memory import Busy, Idle, IdleConnections, Uploads
from bench.work.workload import (
    CIPHERS,
    EVERY_SETTING,
    EVERYWHERE,
    LOOKS,
    STRONGEST,
    Outcome,
    Task,
    Workload,
)

__all__ = ["Outcome", "Task", "Workload", "works"]


def works(sizes: Sizes) -> dict[str, Workload]:
    """All of them, in the order in which they are done."""
    every: tuple[Workload, ...] = (
        Upload("small-put", "small", (*STRONGEST, "s3sftp-resume"), EVERY_SETTING),
        Download("small-get", "small", STRONGEST, EVERY_SETTING),
        Upload("small-put-64", "small", LOOKS, transfers=64),
        Download("small-get-64", "small", LOOKS, transfers=64),
        Get("get", "stream", settings=EVERY_SETTING),
        Put("put", "stream", (*EVERYWHERE, "s3sftp-resume"), EVERY_SETTING),
        Get("get-gcm", "stream", CIPHERS, ("plain",), GCM),
        Put("put-gcm", "stream", CIPHERS, ("plain",), GCM),
        Get("get-ctr", "stream", CIPHERS, ("plain",), CTR),
        Put("put-ctr", "stream", CIPHERS, ("plain",), CTR),
        Get("get-ctr256", "stream", CIPHERS, ("plain",), CTR256),
        Put("put-ctr256", "stream", CIPHERS, ("plain",), CTR256),
        Get("get-parallel", "streams"),
        Put("put-parallel", "streams"),
        FirstByte(),
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
        Idle(),
        IdleConnections(sizes),
        Busy(sizes),
        Uploads(sizes),
    )
    return {work.name: work for work in every}


WORKERS = ("s3sftp-1w", "s3sftp-2w")
