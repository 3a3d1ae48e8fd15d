"""`python -m bench.idle_costs`: what a server takes that moves nothing: processes, logins, idle connections.

Prints one line for each number; bench/capacity/coefficients.py has them as defaults.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh

from bench.environment import serving_alone
from bench.meter import cpu_seconds, tree
from bench.peers.s3sftp import S3Sftp
from bench.serving import Serving

WORKERS = 2
_AT_ONCE = 8
"""Logins under way at once; a server takes ten of one source."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.idle_costs", description="What standing by takes.")
    parser.add_argument("--logins", type=int, default=80, help="a user may have 100 connections, by default")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    with serving_alone(S3Sftp(workers=WORKERS), words.scratch) as server:
        supervisor, *workers = (_resident_bytes(pid) for pid in tree(server.process.pid))
        print(f"supervisor, idle: {supervisor >> 20} MiB")
        print(f"worker, idle: {max(workers) >> 20} MiB (each of {len(workers)})")
        cpu, memory = asyncio.run(_log_in(server, words.logins))
        print(f"login by key, with a session: {cpu * 1000:.1f} CPU ms")
        print(f"connection with an idle session: {memory >> 10} KiB")


async def _log_in(server: Serving, logins: int) -> tuple[float, int]:
    """CPU seconds and bytes for each of so many connections. The first few load code and do not count."""
    async with AsyncExitStack() as staying:
        await _connected(server, 2 * _AT_ONCE, staying)
        before = _taken(server)
        await _connected(server, logins, staying)
        after = _taken(server)
    return (after[0] - before[0]) / logins, (after[1] - before[1]) // logins


def _taken(server: Serving) -> tuple[float, int]:
    pid = server.process.pid
    return cpu_seconds(pid), sum(_resident_bytes(each) for each in tree(pid))


def _resident_bytes(pid: int) -> int:
    # not the peak: what starting up took would hide what connections take
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _connected(server: Serving, count: int, staying: AsyncExitStack) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with turns:
            await staying.enter_async_context(_session(server))

    await asyncio.gather(*(one() for _ in range(count)))


@asynccontextmanager
async def _session(server: Serving) -> AsyncIterator[None]:
    identity = server.site.identity
    async with (
        asyncssh.connect(
            server.host,
            server.site.port,
            username=identity.user,
            client_keys=[os.fspath(identity.user_key)],
            known_hosts=None,
            config=None,
        ) as connection,
        connection.start_sftp_client(),
    ):
        yield


if __name__ == "__main__":
    main()
