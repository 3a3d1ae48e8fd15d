"""Writes and removes entries of the outbox beside the clients' operations, a few at once."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from s3sftp.errors import StorageError
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry import get_logger

Work = Callable[[], Awaitable[object]]
_log = get_logger("s3sftp.events")
_AT_ONCE: Final = 8
_BACKOFF: Final = Backoff(0.5, 30.0)


class Background:
    """A queue of work. What fails with a StorageError is done again, after a pause."""

    def __init__(self) -> None:
        self._work: deque[Work] = deque()
        self._running = 0
        self._failures = 0
        self._given_up = 0
        self._added = asyncio.Event()
        self._ended = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._work) + self._running

    def start(self) -> None:
        self._tasks = [
            # an empty context: the work belongs to no client's operation
            asyncio.create_task(self._run(), name="events-outbox", context=contextvars.Context())
            for _ in range(_AT_ONCE)
        ]

    def add(self, work: Work) -> None:
        self._work.append(work)
        self._added.set()

    async def finish(self, seconds: float) -> bool:
        """Do what is left, each with one more try. Returns whether all of it was done."""
        self._hurry.set()
        try:
            async with asyncio.timeout(seconds):
                while len(self):
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return False
        return not self._given_up

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            while not self._work:
                self._added.clear()
                await self._added.wait()
            work = self._work.popleft()
            self._running += 1
            try:
                await work()
            except StorageError as error:
                await self._failed(work, error)
            except Exception:
                _log.exception("events.outbox_crashed")
            else:
                self._worked()
            finally:
                self._running -= 1
                self._ended.set()

    def _worked(self) -> None:
        if self._failures:
            _log.info("events.outbox_recovered", failures=self._failures)
        self._failures = 0

    async def _failed(self, work: Work, error: StorageError) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("events.outbox_unreachable", error=str(error), detail=error.detail)
        if self._hurry.is_set():
            self._given_up += 1
            return
        self._work.append(work)
        self._added.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_BACKOFF.delay(self._failures)):
                await self._hurry.wait()
