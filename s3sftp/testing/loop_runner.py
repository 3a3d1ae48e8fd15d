"""The event loop that a class of tests has for itself.

The tests that pytest sees are plain functions, so that no plug-in for async tests, and no mode of one,
has a say in which loop a backend lives on: it is one loop from `start` to `stop`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")


class LoopRunner:
    """An event loop that runs while somebody waits for something on it, and what is open there."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._runner = asyncio.Runner()
        self._open: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it, not for ever: a call that does not return fails its own test."""
        __tracebackhide__ = True
        return self._runner.run(self._limited(work))

    def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter a context in a task of its own, which also leaves it: task groups live in one task."""
        return self.run(self._enter(manager))

    def leave(self) -> None:
        """Leave what was entered last."""
        self.run(self._leave(*self._open.pop()))

    def close(self) -> None:
        """Leave everything, and end the loop."""
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
            await task  # raises what kept it from being entered
        self._open.append((task, leave))
        return opened[0]

    async def _leave(self, task: asyncio.Task[None], leave: asyncio.Event) -> None:
        leave.set()
        await task
