"""Let many workers work, and count what is left: before, and after they have gone."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.sftp.serving import Serving
from tests.soak.work import Worker

SLACK_BYTES = 100 << 20
"""How much more memory may be resident: the allocator keeps some, and caches fill."""
SLACK_DESCRIPTORS = 5

Report = Callable[[str], None]


@dataclass(frozen=True)
class Census:
    """What the process holds."""

    descriptors: int
    tasks: int
    resident_bytes: int

    @classmethod
    def now(cls) -> Census:
        gc.collect()
        with open("/proc/self/statm") as statm:
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls(len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), resident)

    def __str__(self) -> str:
        mib = self.resident_bytes >> 20
        return f"{self.descriptors} descriptors, {self.tasks} tasks, {mib} MiB resident"


async def soak(
    server: Serving,
    unfinished_uploads: Callable[[], Awaitable[int]],
    *,
    sessions: int,
    seconds: float,
    report: Report = lambda line: None,
) -> Counter[str]:
    """Warm up, count, work, count again. Raises AssertionError for what is left; returns what was done."""
    await _work(server, sessions, 0, seed=0)
    await server.lets_everything_go()
    base = Census.now()
    report(f"base: {base}")
    done: Counter[str] = Counter()
    stop = time.monotonic() + seconds
    rounds = 0
    while (left := stop - time.monotonic()) > 0:
        rounds += 1
        done += await _work(server, sessions, min(left, 60), seed=rounds)
        await server.lets_everything_go()
        report(f"round {rounds}: {Census.now()}, done {dict(done)}")
    assert await unfinished_uploads() == 0
    await _back_to(base)
    return done


async def _work(server: Serving, sessions: int, seconds: float, *, seed: int) -> Counter[str]:
    stop = asyncio.get_running_loop().time() + seconds
    workers = [Worker(server, number, random.Random(f"{seed}/{number}")) for number in range(sessions)]
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.work(stop))
    for worker in workers:
        await worker.clear()
    return sum((worker.done for worker in workers), Counter())


async def _back_to(base: Census) -> None:
    """Connections of the pool and of clients close a little later."""
    deadline = time.monotonic() + 30
    while True:
        now = Census.now()
        grown = now.descriptors > base.descriptors + SLACK_DESCRIPTORS or now.tasks > base.tasks
        if not grown and now.resident_bytes <= base.resident_bytes + SLACK_BYTES:
            return
        assert time.monotonic() < deadline, f"before: {base}; after: {now}"
        await asyncio.sleep(0.2)
