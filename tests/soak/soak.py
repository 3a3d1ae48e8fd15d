"""Let many workers work, and count what is left: before, and after they have gone."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from tests.model.world import S3World
from tests.sftp.session_server import Serving
from tests.soak.work import Worker

SLACK_BYTES = 64 << 20
"""How much more memory may be resident: the allocator keeps some of what large files took."""
SLACK_OBJECTS = 2000
"""How many more objects Python may have: caches fill. A few for each session are found in ten minutes."""
SLACK_DESCRIPTORS = 5
ROUND_SECONDS = 20.0
PATIENCE_SECONDS = 30.0

Report = Callable[[str], None]


class Left(AssertionError):
    """Something was left."""


@dataclass(frozen=True)
class Census:
    """What the process holds."""

    descriptors: int
    tasks: int
    objects: int
    resident_bytes: int

    @classmethod
    def now(cls) -> Census:
        gc.collect()
        with open("/proc/self/statm") as statm:
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        descriptors = len(os.listdir("/proc/self/fd"))
        return cls(descriptors, len(asyncio.all_tasks()), len(gc.get_objects()), resident)

    def grown_from(self, base: Census) -> list[str]:
        """What there is clearly more of."""
        grown = {
            "descriptors": self.descriptors > base.descriptors + SLACK_DESCRIPTORS,
            "tasks": self.tasks > base.tasks,
            "objects": self.objects > base.objects + SLACK_OBJECTS,
            "resident bytes": self.resident_bytes > base.resident_bytes + SLACK_BYTES,
        }
        return [name for name, has_grown in grown.items() if has_grown]

    def __str__(self) -> str:
        mib = self.resident_bytes >> 20
        return (
            f"{self.descriptors} descriptors, {self.tasks} tasks, {self.objects} objects, {mib} MiB resident"
        )


async def soak(
    world: S3World, *, sessions: int, seconds: float, report: Report = lambda line: None
) -> Counter[str]:
    """Warm up for a tenth of the time, count, work, count again. Raises Left; returns what was done.

    However short the time, each session comes once in each part.
    """
    await _round(world, sessions, seconds / 10, seed=0)
    base = Census.now()
    report(f"base: {base}")
    done: Counter[str] = Counter()
    stop = time.monotonic() + seconds
    for number in count(1):
        done += await _round(world, sessions, min(stop - time.monotonic(), ROUND_SECONDS), seed=number)
        report(f"round {number}: {Census.now()}, done {dict(done)}")
        if time.monotonic() >= stop:
            break
    if unfinished := await world.unfinished_uploads():
        raise Left(f"{unfinished} unfinished uploads")
    await _back_to(base)
    return done


async def _round(world: S3World, sessions: int, seconds: float, *, seed: int) -> Counter[str]:
    done = await _work(world.server, sessions, seconds, seed=seed)
    await world.server.lets_everything_go()
    world.forget()
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
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := Census.now()).grown_from(base):
        if time.monotonic() >= deadline:
            raise Left(f"{', '.join(now.grown_from(base))} have grown; before: {base}; after: {now}")
        await asyncio.sleep(0.5)
