"""Runs a class of async tests on an event loop of its own.

The tests that pytest sees are plain functions, so neither a plug-in for async tests nor its mode decides
which loop a backend uses: it is the same loop from `start` to `stop`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")


class LoopRunner:
    """An event loop that runs while a caller waits for a result, and the contexts that are open on it."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._runner = asyncio.Runner()
        self._open: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the result, within the time limit: a call that does not return fails its own test."""
        __tracebackhide__ = True
        return self._runner.run(self._limited(work))

    def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter a context in a task of its own, which also leaves it, because a task group must not change
        tasks."""
        return self.run(self._enter(manager))

    def leave(self) -> None:
        """Leave the context that was entered last."""
        self.run(self._leave(*self._open.pop()))

    def close(self) -> None:
        """Leave all contexts and close the loop."""
        try:
            while self._open:
                self.leave()
        finally:
            self._runner.close()

    async def _limited(self, work: Coroutine[Any, Any, T]) -> T:
        __tracebackhide__ = True
        limit = asyncio.timeout(self._limit_seconds)
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise AssertionError(f"it has not come to an end in {self._limit_seconds:g} seconds") from error

    async def _enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        opened: list[T] = []
        entered, leave = asyncio.Event(), asyncio.Event()

        async def host() -> None:
            async with manager as what:
                opened.append(what)
                entered.set()
                await leave.wait()

        task = asyncio.create_task(host())
        task.add_done_callback(lambda _: entered.set())
        await entered.wait()
        if task.done():
            await task  # raises the error that kept the context from being entered
        self._open.append((task, leave))
        return opened[0]

    async def _leave(self, task: asyncio.Task[None], leave: asyncio.Event) -> None:
        leave.set()
        await task
