"""All requests that the server and its commands send to S3, recorded by running what leads to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from s3sftp.backends import s3 as s3_backend
from s3sftp.backends.s3 import S3Backend, S3Options
from s3sftp.errors import StorageError
from testbed.raw_client import wire
from testbed.request_log import Seen
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, PART, options_for
from tests.backends.s3.upload_driver import begin, data_of, names, put
from tests.limits.operations import OPERATIONS, World, connect, measured
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import LoseReply
from tests.support.s3_client import S3, s3_client
from tests.support.server import Server

PREFIX = "partners/"
"""The prefix that everything is recorded with."""
JOURNAL = {"journal": "bucket"}
"""Unfinished uploads are noted in the bucket: all that the server may ever write there."""


async def recorded(store: Store, bucket: str, directory: Path, *, owner: Store | None = None) -> list[Seen]:
    """The requests of a server with clients, of its janitor, and of `s3sftp check`.

    `owner` is the store as somebody else sees it who puts files there.
    """
    async with FaultProxy(store.endpoint_url) as proxy, s3_client(owner or store, bucket) as s3:
        near = store.behind(proxy.url)
        requests: list[Seen] = []
        # `measured` forgets what was before
        await _operations(near, s3, proxy, directory / "operations", requests)
        await _trees(near, s3, proxy, directory / "trees")
        await _options(near, bucket)
        await _janitor(near, s3, proxy, directory / "janitor")
        await s3_backend.check(_near(near, bucket, **JOURNAL))
        return requests + list(proxy.log)


async def _operations(near: Store, s3: S3, proxy: FaultProxy, directory: Path, requests: list[Seen]) -> None:
    """Each line of the table of what operations cost."""
    async with _world(near, s3, proxy, directory) as world:
        requests += proxy.log
        for operation in OPERATIONS:
            await measured(world, operation)
            requests += proxy.log
    proxy.log.clear()


async def _trees(near: Store, s3: S3, proxy: FaultProxy, directory: Path) -> None:
    """Directories with tags on their files, renamed at once and in parts; the uploads are broken off."""
    for name, options in (("once", {}), ("parts", {"copy_part_bytes": PART})):
        async with _world(near, s3, proxy, directory / name, options) as world:
            await s3.put(f"{world.server.prefix}{name}/large", data_of(PART + 1), Tagging="kind=invoice")
            await s3.put(f"{world.server.prefix}{name}/small", b"x", Tagging="kind=invoice")
            await world.client.posix_rename(f"/{name}".encode(), f"/{name}-renamed".encode())


@asynccontextmanager
async def _world(
    near: Store, s3: S3, proxy: FaultProxy, directory: Path, options: dict[str, Any] | None = None
) -> AsyncIterator[World]:
    server = Server(directory, near, s3.bucket, {"s3": {"prefix": PREFIX, **JOURNAL, **(options or {})}})
    server.prefix = PREFIX + server.prefix
    try:
        await server.astart()
        async with await connect(server) as connection, wire(connection) as client:
            yield World(client, s3, proxy, server)
    finally:
        server.terminate()
        await server.ended()
        await asyncio.to_thread(server.close)


async def _options(near: Store, bucket: str) -> None:
    """Options that ask for more, tags and an ACL for each file, or in another way."""
    tagged = _near(near, bucket, tags={"kind": "invoice"}, acl="bucket-owner-full-control")
    async with _running(tagged, None) as backend:
        await put(backend, "tagged", b"x")
        await put(backend, "tagged-in-parts", data_of(PART + 1))
    async with _running(_near(near, bucket, lacks=["list-v2"]), None) as backend:
        await names(backend, "")


async def _janitor(near: Store, s3: S3, proxy: FaultProxy, directory: Path) -> None:
    """Uploads that are broken off: one whose id is known, and one whose id nobody heard."""
    options = _near(near, s3.bucket, attempts=1, janitor_min_age=timedelta(0), **JOURNAL)
    async with _running(options, directory) as backend:
        known = await begin(backend, "alice/known")
        await backend.write_chunk(known, data_of(PART), ALICE)
        await backend.abort_write(known, ALICE)
        proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
        unheard = await begin(backend, "alice/unheard")
        with suppress(StorageError):
            await backend.write_chunk(unheard, data_of(PART), ALICE)
        await backend.abort_write(unheard, ALICE)
        await backend.janitor.sweep()


@asynccontextmanager
async def _running(options: S3Options, state: Path | None) -> AsyncIterator[S3Backend]:
    backend = S3Backend(options, state)
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


def _near(near: Store, bucket: str, **changes: Any) -> S3Options:
    return options_for(near, bucket, prefix=PREFIX, **changes)
