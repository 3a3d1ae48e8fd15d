"""Counts what becomes of events, and samples how many wait."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from typing import Final

from s3sftp.events.cloud_event import EventKind
from s3sftp.events.routes import SinkRule
from s3sftp.events.sink_queue import SinkQueue
from s3sftp.telemetry.metric_catalogue import (
    EVENT_OUTCOMES,
    EVENT_SINKS,
    EVENT_SINKS_FAILING,
    EVENTS_OLDEST,
    EVENTS_WAITING,
    MICRO,
)
from s3sftp.telemetry.metrics import Metrics

FAILING_SECONDS: Final = 300.0
"""After this time without success a sink counts as failing."""
_LOOK_SECONDS: Final = 1.0


class EventMetrics:
    """The metrics of the events of one process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def count(self, rule: SinkRule, kind: EventKind, result: str) -> None:
        """Count an outcome of an event: one of `EVENT_RESULTS`."""
        self._metrics.add(EVENT_OUTCOMES.row(rule.type, str(kind), result))

    async def sample(self, queues: Collection[SinkQueue]) -> None:
        """Set the gauges at every second, until it is cancelled."""
        try:
            while True:
                self._set(queues, time.time())
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._set((), 0.0)

    def _set(self, queues: Collection[SinkQueue], now: float) -> None:
        waiting, failing = Counter[str](), Counter[str]()
        for queue in queues:
            waiting[queue.rule.type] += len(queue)
            since = queue.failing_since
            failing[queue.rule.type] += since is not None and now - since >= FAILING_SECONDS
        oldest = min((queue.oldest for queue in queues if queue.oldest is not None), default=now)
        self._metrics.set(EVENTS_OLDEST.row(), max(0, int((now - oldest) * MICRO)))
        for sink in EVENT_SINKS:
            self._metrics.set(EVENTS_WAITING.row(sink), waiting[sink])
            self._metrics.set(EVENT_SINKS_FAILING.row(sink), failing[sink])
