"""Exports metrics to OpenTelemetry, as the standard environment variables configure it.

    OTEL_METRIC_EXPORT_INTERVAL   milliseconds between two exports; `otel.py` lists the others

The SDK's own instruments belong to one process, and none of them can observe a histogram. So the exported
data is built here from the table that all workers count in: by one process, in a thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.export_problems import export_problem, take_sdk_log
from s3sftp.telemetry.instrument import Instrument, InstrumentKind, Point
from s3sftp.telemetry.logs import get_logger
from s3sftp.telemetry.metric_catalogue import CATALOGUE
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.otel import identity, load_exporter, wanted_exporters

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource

_log = get_logger("s3sftp.telemetry")
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_DEFAULT_INTERVAL = "60000"
_LONGEST_INTERVAL = 86_400_000
"""One day."""
_OURS = "prometheus"
"""The name of the Prometheus exporter, which the admin port replaces."""
_UNITS = {"seconds": "s", "bytes": "By", "dollars": "{dollar}"}


def configure_exporting(metrics: Metrics, environ: Mapping[str, str]) -> Callable[[], None] | None:
    """Begin to export if the environment asks for it. Returns a (blocking) function that exports the last
    values and stops, or None.

    Must be called in the process that sees all workers.

    Raises ConfigurationError: if a named exporter is not installed, or the interval is not a number.
    """
    names = [name for name in wanted_exporters("METRICS", environ) if name != _OURS]
    if not names:
        return None
    factories = [load_exporter("METRICS", name) for name in names]
    seconds = _seconds(environ)
    from opentelemetry.sdk.resources import Resource  # late: a server that exports nothing needs no SDK

    take_sdk_log()
    resource = Resource.create(identity(environ))
    exporting = _Exporting(metrics, [factory() for factory in factories], resource, seconds)
    exporting.start()
    return exporting.finish


def _seconds(environ: Mapping[str, str]) -> float:
    text = environ.get(_INTERVAL, "").strip() or _DEFAULT_INTERVAL
    if not text.isdecimal() or not 1 <= int(text[:20]) <= _LONGEST_INTERVAL:
        wanted = f"a number of milliseconds, from 1 to {_LONGEST_INTERVAL}"
        raise ConfigurationError([f"{_INTERVAL} = {text[:40]!r}: should be {wanted}"])
    return int(text) / 1000


class _Exporting(threading.Thread):
    """Exports periodically, and once more at the end."""

    def __init__(
        self, metrics: Metrics, exporters: Sequence[Any], resource: Resource, interval_seconds: float
    ) -> None:
        super().__init__(name="metrics", daemon=True)
        self._metrics = metrics
        self._exporters = exporters
        self._resource = resource
        self._interval_seconds = interval_seconds
        self._began = time.time_ns()
        self._asked_to_end = threading.Event()

    def finish(self) -> None:
        """Export the last values. Returns when that has succeeded or failed."""
        self._asked_to_end.set()
        self.join()

    def run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._asked_to_end.wait(self._interval_seconds)
            self._export()
        for exporter in self._exporters:
            exporter.shutdown()

    def _export(self) -> None:
        try:
            data = metrics_data(self._metrics, self._resource, self._began)
            results = [exporter.export(data).name for exporter in self._exporters]
        except Exception as error:  # whatever it is, the next export may succeed
            _log.warning("metrics.export_failed", error=f"{type(error).__name__}: {error}")
        else:
            if "FAILURE" in results:
                _log.warning("metrics.export_failed", error=export_problem())


def metrics_data(metrics: Metrics, resource: Resource, began: int) -> MetricsData:
    """The present values of all instruments in the type that the SDK's exporters take. Counters began at
    `began`, in nanoseconds since the epoch."""
    from opentelemetry.sdk.metrics import export as sdk
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    now = time.time_ns()

    def number(point: Point) -> sdk.NumberDataPoint:
        return sdk.NumberDataPoint(point.labels, began, now, point.value)

    def distribution(instrument: Instrument, point: Point) -> sdk.HistogramDataPoint:
        unknown: Any = None  # minimum and maximum, which are optional in the format
        return sdk.HistogramDataPoint(
            attributes=point.labels,
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=sum(point.buckets),
            sum=point.value,
            bucket_counts=point.buckets,
            explicit_bounds=instrument.bounds,
            min=unknown,
            max=unknown,
        )

    def data(instrument: Instrument) -> sdk.Gauge | sdk.Sum | sdk.Histogram:
        points = metrics.points(instrument)
        cumulative = sdk.AggregationTemporality.CUMULATIVE
        match instrument.kind:
            case InstrumentKind.GAUGE:
                return sdk.Gauge([number(point) for point in points])
            case InstrumentKind.COUNTER:
                return sdk.Sum([number(point) for point in points], cumulative, is_monotonic=True)
            case InstrumentKind.HISTOGRAM:
                return sdk.Histogram([distribution(instrument, point) for point in points], cumulative)

    found = [
        sdk.Metric(each.full_name, each.about, _UNITS.get(each.unit, ""), data(each)) for each in CATALOGUE
    ]
    scope = sdk.ScopeMetrics(InstrumentationScope("s3sftp"), found, schema_url="")
    return sdk.MetricsData([sdk.ResourceMetrics(resource, [scope], schema_url="")])
