"""Handles cancellation: whether it is meant for the current task, and work that it must not interrupt.

A CancelledError has two meanings, and only the first must end the task that it reaches:

- The current task was cancelled. The error passes.
- The task waited for something that was cancelled elsewhere, such as a connection that a library closed. Its
  call has then failed like any other, and the task continues: `StrayCancellationGuard` raises a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class StrayCancellationGuard:
    """A context manager for calls of which a stray cancellation is a failure. Usable any number of times.

    Raises the failure: if the block raises CancelledError although the current task was not cancelled. Every
    other exception passes, so that the task itself can still be cancelled.
    """

    __slots__ = ("_failure",)

    def __init__(self, failure: Callable[[], Exception]) -> None:
        self._failure = failure

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise self._failure() from error


async def run_to_completion(work: Awaitable[T]) -> T:
    """Await work that must not be left half-done, however often the caller is cancelled meanwhile.

    Raises CancelledError: once the work has ended, if the caller was cancelled; its result is ignored.
    """
    running = asyncio.ensure_future(work)
    try:
        await asyncio.wait([running])
    except asyncio.CancelledError:
        await wait_until_done(running)
        raise
    return running.result()


async def wait_until_done(waiting: asyncio.Future[T]) -> None:
    """Wait until the future is done, however often the caller is cancelled meanwhile. Its result is
    ignored."""
    while not waiting.done():
        with suppress(asyncio.CancelledError):  # the caller raises the first cancellation
            await asyncio.wait([waiting])
    if not waiting.cancelled():
        waiting.exception()  # retrieved, so that asyncio does not log it as never retrieved


async def cancel_and_wait(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended, however it ends. None: a task that was never started."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
