"""Samples gauges periodically: the delay of the event loop, and the bytes in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from s3sftp.telemetry.metric_catalogue import BUFFER_LIMIT_BYTES, BUFFERED_BYTES, EVENT_LOOP_LAG, MICRO
from s3sftp.telemetry.metrics import Metrics

_LOOK_SECONDS = 0.2
_WINDOW_SECONDS = 15.0
"""Longer than most scrape intervals, so that no peak falls between two scrapes."""


@dataclass(slots=True)
class WindowMaximum:
    """The maximum of a value over the last one to two windows."""

    window_seconds: float
    _began: float = 0.0
    _now: float = 0.0
    _before: float = 0.0

    def see(self, number: float, now: float) -> float:
        """Add a value at a time that never decreases. Returns the maximum including it."""
        if now - self._began >= self.window_seconds:
            is_next = now - self._began < 2 * self.window_seconds
            self._before, self._now = (self._now if is_next else 0.0), 0.0
            self._began = now
        self._now = max(self._now, number)
        return max(self._now, self._before)


@asynccontextmanager
async def sample_gauges(
    metrics: Metrics, buffered: Callable[[], int], buffer_limit: int
) -> AsyncIterator[None]:
    """Sample while the context is open. `buffered` returns the bytes of content in memory, at most
    `buffer_limit`."""
    metrics.set(BUFFER_LIMIT_BYTES.row(), buffer_limit)
    task = asyncio.create_task(_sample(metrics, buffered))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        for gauge in (BUFFER_LIMIT_BYTES, BUFFERED_BYTES, EVENT_LOOP_LAG):
            metrics.set(gauge.row(), 0)


async def _sample(metrics: Metrics, buffered: Callable[[], int]) -> None:
    clock = asyncio.get_running_loop().time
    longest = WindowMaximum(_WINDOW_SECONDS)
    while True:
        due = clock() + _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        now = clock()
        metrics.set(EVENT_LOOP_LAG.row(), int(longest.see(max(0.0, now - due), now) * MICRO))
        metrics.set(BUFFERED_BYTES.row(), buffered())
