"""What a server takes of memory that stands by, or has much to do at once: proportional memory (PSS)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.clients.sessions import download, given_up_after, sessions, side_by_side, upload
from bench.failures import Failed
from bench.meter import Meter, proportional_bytes, rested_bytes
from bench.sizes import MIB, Sizes
from bench.test_data import BenchFiles
from bench.work.workload import MANY, Outcome, Task, shown_bytes

_BUSY_BYTES = 8 * MIB
"""Of the file that each busy session moves."""
_SLOWEST = 2e6
"""Bytes a second that everything must reach together, or it is given up."""


class _Memory:
    """Only memory counts, so it is measured near S3 alone."""

    peers: Sequence[str] = MANY
    settings: Sequence[str] = ("plain",)
    seed = ""
    changes = True
    names = 0

    def check(self, task: Task) -> None:
        """Nothing: the clients have seen the sizes and all answers."""


class Idle(_Memory):
    """Nobody is there."""

    name = "memory-idle"

    def about(self, material: BenchFiles) -> str:
        return "a server that nobody has connected to yet"

    def run(self, task: Task) -> Outcome:
        return _outcome(0.0, rested_bytes(task.serving.process.pid))


class IdleConnections(_Memory):
    """Many are there and do nothing."""

    name = "memory-connections"

    def __init__(self, sizes: Sizes) -> None:
        self._count = sizes.connections

    def about(self, material: BenchFiles) -> str:
        return f"{self._count} connections, each with an SFTP session that does nothing"

    def run(self, task: Task) -> Outcome:
        with given_up_after(task.serving, 60 + self._count):
            return asyncio.run(self._run(task))

    async def _run(self, task: Task) -> Outcome:
        pid = task.serving.process.pid
        before = await asyncio.to_thread(rested_bytes, pid)
        began = time.monotonic()
        async with sessions(task.serving, self._count) as clients:
            seconds = time.monotonic() - began
            taken = await asyncio.to_thread(rested_bytes, pid)
            if gone := sum(not client.is_alive for client in clients):
                raise Failed(f"{gone} of {self._count} idle sessions were ended by the server")
        return _outcome(seconds, taken, connection_bytes=(taken - before) / self._count)


class Busy(_Memory):
    """Many are there, and each puts a file and gets it back."""

    name = "memory-busy"

    def __init__(self, sizes: Sizes) -> None:
        self._count = sizes.busy

    def about(self, material: BenchFiles) -> str:
        return (
            f"{self._count} connections at once, of which each puts {shown_bytes(_BUSY_BYTES)} and gets them"
            " back, in requests of 32 KiB"
        )

    def run(self, task: Task) -> Outcome:
        return _side_by_side(task, self._count, _BUSY_BYTES, back=True)


class Uploads(_Memory):
    """Many upload at once."""

    name = "memory-uploads"

    def __init__(self, sizes: Sizes) -> None:
        self._count, self._size = sizes.uploads, sizes.upload

    def about(self, material: BenchFiles) -> str:
        return f"{self._count} uploads at once, each of {shown_bytes(self._size)} in WRITEs of 32 KiB"

    def run(self, task: Task) -> Outcome:
        return _side_by_side(task, self._count, self._size, back=False)


def _side_by_side(task: Task, count: int, size: int, *, back: bool) -> Outcome:
    moved = count * size * (1 + back)
    with given_up_after(task.serving, 60 + moved / _SLOWEST):
        seconds, peak = asyncio.run(_moved(task, count, size, back=back))
    task.await_stored({f"file-{number}": size for number in range(count)})
    return _outcome(seconds, peak, moved, count)


async def _moved(task: Task, count: int, size: int, *, back: bool) -> tuple[float, int]:
    """How long it took, and the most memory that was seen."""

    async def move(number: int) -> None:
        path = task.serving.remote(f"file-{number}")
        await upload(clients[number], path, size)
        if back:
            await download(clients[number], path, size)

    async with sessions(task.serving, count) as clients:
        meter = Meter(task.serving.process.pid, proportional_bytes)
        meter.start()
        began = time.monotonic()
        try:
            await side_by_side(map(move, range(count)))
            seconds = time.monotonic() - began
            _, peak = await asyncio.to_thread(meter.stop)
        finally:
            meter.cancel()
    return seconds, peak


def _outcome(seconds: float, pss: int, moved: int = 0, files: int = 0, **values: float) -> Outcome:
    return Outcome(seconds, moved, files, values={"pss_bytes": float(pss), **values})
