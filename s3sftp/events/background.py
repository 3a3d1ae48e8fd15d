"""Writes or removes entries of the outbox beside the clients' operations, a few at once."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from s3sftp.errors import StorageError
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry import get_logger

Work = Callable[[], Awaitable[object]]
_log = get_logger("s3sftp.events")
_AT_ONCE: Final = 8
_BACKOFF: Final = Backoff(0.5, 30.0)
_SPACING: Final = 0.02
"""Seconds from one repeated attempt to the next, so that many of them are no storm."""


@dataclass(slots=True, eq=False)
class _Job:
    work: Work
    failures: int = 0


class Background:
    """A queue of work. What fails with a StorageError is done again after a pause; all else goes on."""

    def __init__(self, backoff: Backoff = _BACKOFF) -> None:
        self._backoff = backoff
        self._jobs: deque[_Job] = deque()
        self._running = 0
        self._later: dict[_Job, asyncio.TimerHandle] = {}
        """Work that has failed, until its next attempt."""
        self._latest = 0.0
        """When the latest of these attempts is due, by the event loop's clock."""
        self._failures = 0
        """How many attempts have failed since all work last succeeded."""
        self._given_up = 0
        self._added = asyncio.Event()
        self._ended = asyncio.Event()
        self._hurries = False
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._jobs) + self._running + len(self._later)

    def start(self) -> None:
        self._tasks = [
            # an empty context: the work belongs to no client's operation
            asyncio.create_task(self._run(), name="events-outbox", context=contextvars.Context())
            for _ in range(_AT_ONCE)
        ]

    def add(self, work: Work) -> None:
        self._add(_Job(work))

    async def finish(self, seconds: float) -> bool:
        """Do what is left, each with one more try. Returns whether all of it was done."""
        self._hurries = True
        for job, timer in list(self._later.items()):
            timer.cancel()
            self._again(job)
        try:
            async with asyncio.timeout(seconds):
                while len(self):
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return False
        return not self._given_up

    async def stop(self) -> None:
        for timer in self._later.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _add(self, job: _Job) -> None:
        self._jobs.append(job)
        self._added.set()

    def _again(self, job: _Job) -> None:
        del self._later[job]
        self._add(job)

    async def _run(self) -> None:
        while True:
            while not self._jobs:
                self._added.clear()
                await self._added.wait()
            job = self._jobs.popleft()
            self._running += 1
            try:
                await job.work()
            except StorageError as error:
                self._failed(job, error)
            except Exception:
                _log.exception("events.outbox_crashed")
            else:
                self._worked()
            finally:
                self._running -= 1
                self._ended.set()

    def _worked(self) -> None:
        if self._failures and not self._later:
            _log.info("events.outbox_recovered", failures=self._failures)
            self._failures = 0

    def _failed(self, job: _Job, error: StorageError) -> None:
        self._failures += 1
        job.failures += 1
        if self._failures == 1:
            _log.warning("events.outbox_unreachable", error=str(error), detail=error.detail)
        if self._hurries:
            self._given_up += 1
            return
        loop = asyncio.get_running_loop()
        self._latest = max(loop.time() + self._backoff.delay(job.failures), self._latest + _SPACING)
        self._later[job] = loop.call_at(self._latest, self._again, job)
