"""Neither supervisor nor worker keeps anything for a connection that has gone."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from typing import Any

import pytest

from s3sftp.auth import AuthOptions, Offence
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.ssh import Peer, ServerAdmissionGate, SshOptions
from s3sftp.workers import WorkerGate
from s3sftp.workers.ipc import IpcConnection, ipc_socket_pair
from s3sftp.workers.worker_process import WorkerProcess


class Connection(asyncio.Protocol):
    """As asyncssh's, but it logs in by being there, and fails first."""

    def __init__(self, gate: WorkerGate) -> None:
        self._gate = gate
        self._login: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        admitted = self._gate.arrive(self, lambda _reason: transport.abort())  # type: ignore[attr-defined]
        assert admitted is not None
        self._admitted = admitted
        self._login = asyncio.create_task(self._log_in(transport))

    async def _log_in(self, transport: Any) -> None:
        self._admitted.version_received()
        await self._admitted.offended(Offence.PASSWORD, "alice")
        await self._admitted.log_in("alice", "alice")
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._admitted.leave()


async def test_nothing_is_kept_for_a_connection_that_was_handed_over_and_has_gone() -> None:
    mine, its = ipc_socket_pair()
    gate = ServerAdmissionGate(SshOptions(), AuthOptions(ban_failures=0, user_failures=0))
    worker = WorkerProcess(1, lambda: None)
    worker._ipc = IpcConnection(mine, worker._received, worker._hang_up)
    worker_gate = WorkerGate(its, ShutdownRequests())
    await worker_gate.create_server(lambda _host, _port: Connection(worker_gate), "", 0)
    numbers = iter(range(100_000))

    async def visits(count: int) -> int:
        for number in (next(numbers) for _ in range(count)):
            client, served = socket.socketpair()
            with client:
                admitted = gate.arrive(Peer.of((f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)))
                assert admitted is not None
                worker.serve(number, admitted, served)
                client.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        async with asyncio.timeout(20):
            while worker.connections:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        gc.collect()
        return sys.getallocatedblocks()

    try:
        await visits(1500)  # until Python itself has what it keeps
        # Python allocates now and then for itself, so growth counts only if each round of visits shows it
        growth = []
        for _round in range(5):
            before = await visits(50)
            growth.append(await visits(1000) - before)
            if growth[-1] < 500:
                return
        pytest.fail(f"blocks of memory kept after each 1000 connections: {growth}")
    finally:
        worker_gate.close()
        assert worker._ipc is not None
        worker._ipc.close()
