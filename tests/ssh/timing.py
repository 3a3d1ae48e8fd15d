"""Compares how long two attempts take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

Attempt = Callable[[], Awaitable[None]]


async def take_equally_long(one: Attempt, other: Attempt) -> bool:
    """Whether the medians of 15 interleaved runs of each lie within 10 % of each other.

    Other work on the machine can part two medians, but not every time; a difference of ours would. So up to
    eight comparisons are made.
    """
    for _ in range(8):
        if await _medians_agree(one, other):
            return True
    return False


async def _medians_agree(one: Attempt, other: Attempt) -> bool:
    async def timed(attempt: Attempt) -> float:
        began = time.perf_counter()
        await attempt()
        return time.perf_counter() - began

    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(15):
        times[0].append(await timed(one))
        times[1].append(await timed(other))
    medians = [statistics.median(each) for each in times]
    return abs(medians[0] - medians[1]) <= 0.1 * max(medians)
