"""A server with several workers, as processes, and what is known of each."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from testbed.s3_store import Store
from tests.support.server import Groups, Server

WORKERS = 2


class WorkerServer:
    """A server whose workers are all there."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @asynccontextmanager
    async def client(self, source: str = "127.0.0.1", **options: Any) -> AsyncIterator[Client]:
        """A connection, by key; broken off at the end."""
        connection = await self.connect(source, **options)
        try:
            yield Client(self, connection)
        finally:
            connection.abort()
            with contextlib.suppress(Exception):
                await connection.wait_closed()

    async def connect(self, source: str = "127.0.0.1", **options: Any) -> asyncssh.SSHClientConnection:
        server = self.server
        wanted: dict[str, Any] = {
            "username": server.user,
            "client_keys": [str(server.key_file)],
            "known_hosts": str(server.known_hosts),
            "config": None,
            "agent_path": None,
            "local_addr": (source, 0),
        }
        return await asyncssh.connect(server.host, server.port, **(wanted | options))

    def pids(self) -> dict[int, int]:
        """The process of each worker: the latest that was started."""
        return {event["worker"]: event["pid"] for event in self.server.events("worker.started")}

    def kill(self, worker: int) -> None:
        """SIGKILL."""
        os.kill(self.pids()[worker], signal.SIGKILL)

    async def all_ready(self) -> None:
        """Wait until each worker that was started last is ready."""
        await self.server.until(
            lambda: self.server.count("worker.ready") == self.server.count("worker.started") >= WORKERS,
            "the workers to be ready",
            60,
        )

    async def until_left(self, connections: int) -> None:
        """Wait until so many connections have been closed, and the supervisor knows."""
        await self.server.until(
            lambda: self.server.count("connection.closed") >= connections, "connections to be closed"
        )


class Client:
    """One connection, and the worker that has it."""

    def __init__(self, workers: WorkerServer, connection: asyncssh.SSHClientConnection) -> None:
        self._workers = workers
        self.connection = connection

    async def worker(self) -> int:
        """The worker that logged it in."""

        port = self.connection.get_extra_info("sockname")[1]

        def mine() -> list[dict[str, Any]]:
            events = self._workers.server.events("login.accepted")
            return [event for event in events if event["peer"].endswith(f":{port}")]

        await self._workers.server.until(lambda: bool(mine()), "the login to be logged")
        return int(mine()[-1]["worker"])

    async def sftp(self) -> asyncssh.SFTPClient:
        return await self.connection.start_sftp_client()


@asynccontextmanager
async def worker_server(
    directory: Path, store: Store, bucket: str, options: Groups | None = None
) -> AsyncIterator[WorkerServer]:
    """A server with two workers. What goes wrong in it unexpectedly fails the test."""
    groups = {name: dict(values) for name, values in (options or {}).items()}
    groups["server"] = {"workers": WORKERS, "drain_timeout": "10 s"} | groups.get("server", {})
    server = Server(directory / "server", store, bucket, groups)
    try:
        await server.astart()
        await server.until(lambda: bool(server.events("server.started")), "all workers to be ready", 60)
        yield WorkerServer(server)
        assert "Traceback" not in server.output()
    finally:
        server.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
