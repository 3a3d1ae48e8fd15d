"""Runs work with bounded concurrency: a loop over items, and a semaphore with a timeout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from s3sftp.errors import Busy

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[object]], limit: int) -> None:
    """Await `work` for each item, at most `limit` at once.

    The first failure cancels the rest and is raised.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.create_task(worker()) for _ in range(limit)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


class TimedSemaphore:
    """A semaphore whose callers wait for a slot no longer than `patience` seconds.

    `what` names, in the error's detail, what the slots bound.
    """

    def __init__(self, limit: int, patience: float, what: str) -> None:
        self._free = asyncio.Semaphore(limit)
        self._patience = patience
        self._what = what

    @property
    def has_slot(self) -> bool:
        """Whether a slot is free now."""
        return not self._free.locked()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot.

        Raises Busy: if no slot becomes free in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError as error:
            raise Busy(detail=f"no slot for one more of the {self._what} under way") from error
        try:
            yield
        finally:
            self._free.release()
