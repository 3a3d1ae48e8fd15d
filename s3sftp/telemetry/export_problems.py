"""Reports that exports fail: one line a minute, because OpenTelemetry's exporters log each attempt.

an exporter logs ──► remembered ──► the reason in `tracing.export_failed` and `metrics.export_failed`
the SDK logs     ──► `tracing.sdk_problem`
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.logs import get_logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_log = get_logger("s3sftp.telemetry")
_SECONDS = 60.0
"""Between two lines about one kind of problem."""


class _SdkLog(logging.Handler):
    """Takes what OpenTelemetry's libraries log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = ""
        """What an exporter logged last."""
        self._throttle = LogThrottle(_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("opentelemetry.exporter"):
            self.reason = record.getMessage()
            return
        suppressed = self._throttle.allow(record.name, time.monotonic())
        if suppressed is not None:
            _log.warning("tracing.sdk_problem", problem=record.getMessage(), suppressed=suppressed or None)


_sdk_log = _SdkLog()


def take_sdk_log() -> None:
    """Log what OpenTelemetry's libraries log as events of our own, from now on."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    if _sdk_log not in logger.handlers:
        logger.addHandler(_sdk_log)


def export_problem() -> str:
    """What an exporter logged last."""
    return _sdk_log.reason


class ReportedExporter:
    """A `SpanExporter` that reports how many spans are lost because another cannot export them.

    It runs on the thread of its batch processor.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._throttle = LogThrottle(_SECONDS)
        self._lost = 0
        self._reason = ""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        from opentelemetry.sdk.trace.export import SpanExportResult

        result, reason = SpanExportResult.FAILURE, ""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # whatever it is, the next export may succeed
            reason = f"{type(error).__name__}: {error}"
        if result is SpanExportResult.SUCCESS:
            self._report()
        else:
            self._lost += len(spans)
            self._reason = reason or export_problem()
            if self._throttle.allow("", time.monotonic()) is not None:
                self._report()
        return result

    def _report(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            _log.warning("tracing.export_failed", lost=lost, error=self._reason)

    def shutdown(self) -> None:
        self._report()
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> Any:
        return self._exporter.force_flush(timeout_millis)
