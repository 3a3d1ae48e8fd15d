"""Handles cancellation: whether it is meant for the current task, and work that it must not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def is_own_cancellation() -> bool:
    """Whether the CancelledError being handled is a cancellation of the current task.

    If not, a call raised it because it waited for something that was cancelled elsewhere. The call has then
    failed like any other, and its task should continue.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Await work that must not be left half-done; a cancellation is raised only once the work has ended."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await wait_until_done(task)
        raise


async def wait_until_done(waiting: asyncio.Future[T]) -> None:
    """Wait until the future is done, however often the caller is cancelled meanwhile. Its result is
    ignored."""
    while not waiting.done():
        with suppress(asyncio.CancelledError):  # the caller raises the first cancellation
            await asyncio.wait([waiting])
    if not waiting.cancelled():
        waiting.exception()  # retrieved, so that asyncio does not log it as never retrieved
