"""Renders metrics in the Prometheus text format, with Prometheus' own library.

Always uses the text format, whatever the scraper prefers: every scraper reads it, and in OpenMetrics the
gauge `s3sftp_connections` and the counter `s3sftp_connections_total` would be one family with two types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from s3sftp.telemetry.instrument import Instrument, InstrumentKind, Point
from s3sftp.telemetry.metric_catalogue import CATALOGUE

Points = Callable[[Instrument], Iterable[Point]]
"""The present value of each series of an instrument."""


def exposition(points: Points) -> tuple[bytes, str]:
    """The body and its content type."""
    registry = CollectorRegistry()
    registry.register(_Reading(points))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Reading(Collector):
    """Collects the present values for Prometheus' library."""

    def __init__(self, points: Points) -> None:
        self._points = points

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for instrument in CATALOGUE:
            yield _family(instrument, self._points(instrument))


def _family(instrument: Instrument, points: Iterable[Point]) -> Metric:
    name, about, labels = instrument.name, instrument.about, instrument.labels
    if instrument.kind is InstrumentKind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, about, labels=labels)
        bounds = [*map(str, instrument.bounds), "+Inf"]
        for point in points:
            histogram.add_metric(
                tuple(point.labels.values()),
                list(zip(bounds, _running_totals(point.buckets), strict=True)),
                point.value,
            )
        return histogram
    kind = CounterMetricFamily if instrument.kind is InstrumentKind.COUNTER else GaugeMetricFamily
    family = kind(name, about, labels=labels)
    for point in points:
        family.add_metric(tuple(point.labels.values()), point.value)
    return family


def _running_totals(buckets: Sequence[int]) -> list[int]:
    """Cumulative counts: each bucket of Prometheus includes the smaller ones."""
    return list(accumulate(buckets))
