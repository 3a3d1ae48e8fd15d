"""Whose cancellation it is: ours, which ends the task, or one that somebody else's code let escape."""

from __future__ import annotations

import asyncio


def is_meant_for_us() -> bool:
    """While handling a CancelledError: whether somebody cancelled the current task.

    If nobody did, a call raised it of its own: it waited for something that was cancelled elsewhere. Then the
    call has failed like any other, and its task is to go on.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
