"""Remembers for an hour, every five seconds, what the metrics say: bytes, S3 requests, sessions, failures."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from s3sftp.telemetry.instrument import Instrument
from s3sftp.telemetry.metric_catalogue import RECEIVED_BYTES, S3_REQUESTS, SENT_BYTES, SESSIONS, TRANSFERS
from s3sftp.telemetry.metrics import Metrics

STEP_SECONDS = 5.0
_MAX_POINTS = 720


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One interval."""

    at: float
    """Its end, in seconds since the epoch."""
    bytes_in: int
    bytes_out: int
    s3_requests: int
    sessions: int
    failures: int


class SeriesRecorder:
    """The intervals of the last hour."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._points: deque[SeriesPoint] = deque(maxlen=_MAX_POINTS)
        self._requests = [S3_REQUESTS.row(*values) for values in S3_REQUESTS.series]
        self._failures = [TRANSFERS.row(*values) for values in TRANSFERS.series if values[1] == "failed"]
        self._before = self._totals()

    def record(self) -> None:
        """End an interval."""
        totals = self._totals()
        moved = [max(0, now - before) for now, before in zip(totals, self._before, strict=True)]
        self._before = totals
        sessions = self._metrics.table.total(SESSIONS.row())
        self._points.append(SeriesPoint(self._clock(), moved[0], moved[1], moved[2], sessions, moved[3]))

    def latest(self, minutes: int) -> list[SeriesPoint]:
        """The intervals of the last minutes, the oldest first."""
        count = int(minutes * 60 / STEP_SECONDS)
        return list(self._points)[-count:]

    def _totals(self) -> tuple[int, int, int, int]:
        total = self._metrics.table.total
        return (
            _total(self._metrics, RECEIVED_BYTES),
            _total(self._metrics, SENT_BYTES),
            sum(map(total, self._requests)),
            sum(map(total, self._failures)),
        )


def _total(metrics: Metrics, instrument: Instrument) -> int:
    return metrics.table.total(instrument.row())


@asynccontextmanager
async def recording(series: SeriesRecorder) -> AsyncIterator[None]:
    """Record while the context is open."""

    async def keep_recording() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + STEP_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
            series.record()

    task = asyncio.create_task(keep_recording())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
