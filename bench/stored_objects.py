"""Looks at what a server has stored, past the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.clients import rclone
from bench.environment import BenchEnvironment
from bench.failures import Failed
from bench.peers import Storage
from bench.serving import Serving

STORED_SECONDS = 300
CHECK_SECONDS = 600


class Stored:
    """The storage of one measurement."""

    def __init__(self, environment: BenchEnvironment, serving: Serving, scratch: Path) -> None:
        self._environment = environment
        self._serving = serving
        self._scratch = scratch
        self.waited_seconds = 0.0
        """How long after the clients' end the storage did not have it all."""

    def await_all(self, wanted: dict[str, int]) -> None:
        """Block until the bucket has these keys with these sizes. Other storages have them at once."""
        if self._serving.peer.storage not in (Storage.S3, Storage.FILER):
            return
        started = time.monotonic()
        looks = 0
        while missing := wanted.items() - dict(self._keys()).items():
            if time.monotonic() - started > STORED_SECONDS:
                raise Failed(f"{len(missing)} of {len(wanted)} files were acknowledged and never stored")
            looks += 1
            time.sleep(0.1)
        self.waited_seconds = time.monotonic() - started if looks else 0.0

    def check(self, name: str, path: str) -> None:
        """Compare a set of the material with what is stored at a path. Failed when they differ."""
        source = self._environment.material.path(name)
        site = self._serving.site
        match self._serving.peer.storage:
            case Storage.S3 | Storage.FILER:
                rclone.check_bucket(self._environment.store, source, f"{site.bucket}/{path}", self._scratch)
                return
            case Storage.FOLDER:
                target = str(site.folder / path)
            case Storage.MEMORY:
                target = f"server:{self._serving.remote(path)}"
        rclone.check(self._serving, str(source), target, self._scratch, CHECK_SECONDS)

    def _keys(self) -> Iterator[tuple[str, int]]:
        pages = self._environment.store.blocking_client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._serving.site.bucket):
            for item in page.get("Contents", []):
                yield item["Key"], item["Size"]
