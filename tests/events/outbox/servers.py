"""Servers that announce events to a `Listener`, and their partners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.limits.operations import connect
from tests.support.s3_client import S3
from tests.support.server import Groups, Server

OUTBOX = ".s3sftp/events/"
ENTRIES = f"{OUTBOX}entries/"
LEASES = f"{OUTBOX}leases/"
_UPLOADS = ("upload.committed", "upload.failed", "upload.aborted")


def options_for(listener: Listener, *, sink: dict[str, Any] | None = None, **events: Any) -> Groups:
    """The options of a server with one sink, which does not keep failed attempts waiting for long."""
    given = {
        "type": "webhook",
        "url": listener.url,
        "concurrency": 1,
        "kinds": [*_UPLOADS, "file.removed", "file.renamed", "directory.renamed"],
        **(sink or {}),
    }
    return {
        "events": {"takeover_time": "5 s", "first_pause": "0.2 s", "longest_pause": "0.5 s", **events},
        "events.sinks.hook": {name: value for name, value in given.items() if value is not None},
    }


@asynccontextmanager
async def partner_of(server: Server) -> AsyncIterator[RawSftpClient]:
    """A client of a running server."""
    async with await connect(server) as connection, wire(connection) as client:
        yield client


@asynccontextmanager
async def serving(
    directory: Path, store: Store, bucket: str, options: Groups
) -> AsyncIterator[tuple[Server, RawSftpClient]]:
    """A running server with a client."""
    server = Server(directory, store, bucket, options)
    try:
        await server.astart()
        async with partner_of(server) as client:
            yield server, client
    finally:
        await asyncio.to_thread(server.close)


async def until_empty(s3: S3, prefix: str = ENTRIES, seconds: float = 60) -> None:
    """Wait until nothing is below a prefix of the outbox."""
    async with asyncio.timeout(seconds):
        while await s3.keys(prefix):
            await asyncio.sleep(0.1)


async def until_there(s3: S3, prefix: str, count: int = 1, seconds: float = 60) -> list[str]:
    """Wait until so many keys are below a prefix."""
    async with asyncio.timeout(seconds):
        while len(keys := await s3.keys(prefix)) < count:
            await asyncio.sleep(0.1)
    return keys
