"""`python -m bench.idle_costs`: what a server takes that moves nothing: processes, logins, idle connections.

Prints one line for each number; bench/capacity/coefficients.py has them as defaults, rounded up. Memory is
proportional (PSS): what processes share is counted once. Where many connections make a row beside other
servers: `python -m bench --only memory-idle,memory-connections`.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from bench.clients.sessions import sessions
from bench.environment import serving_alone
from bench.meter import cpu_seconds, own_proportional_bytes, rested_bytes, tree
from bench.peers.s3sftp import MANY, S3Sftp
from bench.serving import Serving

WORKERS = 2
_FIRST = 16
"""Connections that load code and do not count."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.idle_costs", description="What standing by takes.")
    parser.add_argument("--logins", type=int, default=80, help="connections that are made, and stay")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    with serving_alone(S3Sftp(workers=WORKERS, options=MANY), words.scratch) as server:
        together = rested_bytes(server.process.pid)
        supervisor, *workers = (own_proportional_bytes(pid) for pid in tree(server.process.pid))
        print(f"server, idle: {together >> 20} MiB of PSS")
        print(f"supervisor, idle: {supervisor >> 20} MiB")
        print(f"worker, idle: {max(workers) >> 20} MiB (each of {len(workers)})")
        cpu, memory = asyncio.run(_log_in(server, words.logins))
        print(f"login by key, with a session: {cpu * 1000:.1f} CPU ms")
        print(f"connection with an idle session: {memory >> 10} KiB")


async def _log_in(server: Serving, logins: int) -> tuple[float, int]:
    """CPU seconds and bytes for each of so many connections. The first few load code and do not count."""
    async with sessions(server, _FIRST):
        before = await _taken(server)
        async with sessions(server, logins):
            after = await _taken(server)
    return (after[0] - before[0]) / logins, (after[1] - before[1]) // logins


async def _taken(server: Serving) -> tuple[float, int]:
    pid = server.process.pid
    return cpu_seconds(pid), await asyncio.to_thread(rested_bytes, pid)


if __name__ == "__main__":
    main()
