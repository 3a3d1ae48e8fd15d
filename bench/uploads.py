"""`python -m bench.uploads`: the same bytes in 8, 80 and 400 uploads side by side, in WRITEs of 32 KiB.

Prints for each number of uploads the seconds that they took, the CPU seconds of the server, the most that
was seen of its proportional memory (PSS), and the load average of the machine. Many uploads should take
little more than few. Each run has a server of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.clients.sessions import sessions, side_by_side, upload
from bench.environment import serving_alone
from bench.meter import Meter, proportional_bytes
from bench.peers.s3sftp import MANY, S3Sftp
from bench.serving import Serving
from bench.sizes import MIB, amount

_MOST_CONNECTIONS = 80
"""A user may have 100; more uploads are more sessions of each."""


@dataclass(frozen=True)
class Taken:
    """What one run took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    load: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} CPU s, {self.peak_bytes // MIB} MiB of PSS, "
            f"load {self.load:.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.uploads", description="Uploads side by side.")
    parser.add_argument("--uploads", default="8,80,400", help="how many at once, one run for each")
    parser.add_argument("--total", default="1GiB", help="bytes of all of them together")
    parser.add_argument("--block", default="32KiB", help="bytes of a WRITE")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    for uploads in map(int, words.uploads.split(",")):
        taken = measured(uploads, amount(words.total) // uploads, amount(words.block), words.scratch)
        print(f"{uploads} uploads: {taken}", flush=True)


def measured(uploads: int, size: int, block: int, scratch: Path) -> Taken:
    """So many uploads of so many bytes each, to a server of their own."""
    with serving_alone(S3Sftp(options=MANY), scratch) as server:
        return asyncio.run(_measured(server, uploads, size, block))


async def _measured(server: Serving, uploads: int, size: int, block: int) -> Taken:
    meter = Meter(server.process.pid, proportional_bytes)
    async with sessions(server, uploads, _MOST_CONNECTIONS) as clients:
        meter.start()
        began = time.monotonic()
        try:
            await side_by_side(
                upload(client, server.remote(f"upload-{number}"), size, block)
                for number, client in enumerate(clients)
            )
        except BaseException:
            meter.cancel()
            raise
        seconds = time.monotonic() - began
        cpu, peak = await asyncio.to_thread(meter.stop)
    return Taken(seconds, cpu, peak, os.getloadavg()[0])


if __name__ == "__main__":
    main()
