"""Cancellation: whose it is (ours, or one that somebody else's code let escape), and what it must not cut."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def is_own_cancellation() -> bool:
    """While handling a CancelledError: whether somebody cancelled the current task.

    If nobody did, a call raised it of its own: it waited for something that was cancelled elsewhere. Then the
    call has failed like any other, and its task is to go on.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Await work that must not be left half-done: a cancellation is raised once it has ended."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await wait_until_done(task)
        raise


async def wait_until_done(waiting: asyncio.Future[T]) -> None:
    """Wait for the end of something, however often the caller is cancelled meanwhile; how it ended does not
    matter any more."""
    while not waiting.done():
        with suppress(asyncio.CancelledError):  # the caller raises the first one
            await asyncio.wait([waiting])
    if not waiting.cancelled():
        waiting.exception()  # always looked at, or asyncio complains that nobody did
