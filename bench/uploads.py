"""`python -m bench.uploads`: the same bytes in 8, 80 and 400 uploads side by side, in WRITEs of 32 KiB.

Prints for each number of uploads the seconds that they took, the CPU seconds and peak memory of the server,
and the load average of the machine. Many uploads should take little more than few. Each run has a server of
its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from bench.environment import serving_alone
from bench.meter import Meter
from bench.peers.peer import Command, Site
from bench.peers.s3sftp import S3Sftp
from bench.serving import Serving
from bench.sizes import MIB, amount
from testbed.packets import CREAT, STATUS, TRUNC, W
from testbed.raw_client import RawSftpClient, wire

_MOST_CONNECTIONS = 80
"""A user may have 100; more uploads are more sessions of each."""
_LOGINS_AT_ONCE = 8
_IN_FLIGHT = 64
"""WRITEs of one upload that are not answered yet, as OpenSSH has it."""


class _Many(S3Sftp):
    """With defaults, but for what one user may do at once."""

    def command(self, site: Site) -> Command:
        command = super().command(site)
        return Command(command.words, {**command.environment, "S3SFTP_FILES__MAX_UPLOADS_PER_USER": "10000"})


@dataclass(frozen=True)
class Taken:
    """What one run took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    load: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} CPU s, {self.peak_bytes // MIB} MiB at most, "
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
    with serving_alone(_Many(), scratch) as server:
        return asyncio.run(_measured(server, uploads, size, block))


async def _measured(server: Serving, uploads: int, size: int, block: int) -> Taken:
    meter = Meter(server.process.pid)
    async with AsyncExitStack() as staying:
        clients = await _clients(server, uploads, staying)
        meter.start()
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for number, client in enumerate(clients):
                    group.create_task(_upload(client, server.remote(f"upload-{number}"), size, block))
        except BaseException:
            meter.cancel()
            raise
        seconds = time.monotonic() - began
        cpu, peak = await asyncio.to_thread(meter.stop)
    return Taken(seconds, cpu, peak, os.getloadavg()[0])


async def _upload(client: RawSftpClient, path: str, size: int, block: int) -> None:
    """CLOSE has said OK, and the file has its size."""
    handle = await client.open(path.encode(), W | CREAT | TRUNC)
    data, turns = bytes(block), asyncio.Semaphore(_IN_FLIGHT)
    answers = []
    for at in range(0, size, block):
        await turns.acquire()
        answers.append(client.sending_write(handle, at, data[: size - at]))
        answers[-1].add_done_callback(lambda _: turns.release())
    for answer in answers:
        (await answer).must_be(STATUS)
    await client.close(handle)
    if (await client.stat(path.encode())).size != size:
        raise ValueError(f"{path} is not {size} bytes long")


async def _clients(server: Serving, count: int, staying: AsyncExitStack) -> list[RawSftpClient]:
    """So many sessions, on as few connections as it takes."""
    turns = asyncio.Semaphore(_LOGINS_AT_ONCE)

    async def connect() -> asyncssh.SSHClientConnection:
        async with turns:
            return await staying.enter_async_context(
                asyncssh.connect(
                    server.host,
                    server.site.port,
                    username=server.site.identity.user,
                    client_keys=[os.fspath(server.site.identity.user_key)],
                    known_hosts=None,
                    config=None,
                )
            )

    connections = await asyncio.gather(*(connect() for _ in range(min(count, _MOST_CONNECTIONS))))
    return [
        await staying.enter_async_context(wire(connections[number % len(connections)]))
        for number in range(count)
    ]


if __name__ == "__main__":
    main()
