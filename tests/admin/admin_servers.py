"""Servers with an admin port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from testbed.s3_store import Store
from tests.support.server import Groups, Server


@asynccontextmanager
async def serving(
    directory: Path, store: Store, bucket: str, workers: int = 1, options: Groups | None = None
) -> AsyncIterator[Server]:
    """A server that is started. What goes wrong in it unexpectedly fails the test."""
    groups = {name: dict(values) for name, values in (options or {}).items()}
    groups["server"] = {"workers": workers, "drain_timeout": "20 s"} | groups.get("server", {})
    groups["admin"] = {"port": 0} | groups.get("admin", {})
    server = Server(directory / "server", store, bucket, groups)
    try:
        await server.astart()
        await server.until(lambda: bool(server.events("server.started")), "the server to be started", 60)
        yield server
        assert "Traceback" not in server.output()
    finally:
        server.close()


async def connect(server: Server) -> asyncssh.SSHClientConnection:
    """A connection, by key."""
    return await asyncssh.connect(
        server.host,
        server.port,
        username=server.user,
        client_keys=[str(server.key_file)],
        known_hosts=str(server.known_hosts),
        config=None,
        agent_path=None,
    )
