"""Counts events and sizes in a table that the processes of one server share.

    a serving process     ── add ──► its column of the table ──┐
    another one           ── add ──► its column             ───┼── sum ──► render, export
    the process that is asked ── values it observes itself  ───┘

Counting is one addition in memory, so it is always on. An embedded server has its own `Metrics`, unless its
application passes one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import metric_catalogue
from s3sftp.telemetry.costs import dollars
from s3sftp.telemetry.instrument import Instrument, InstrumentKind, Point
from s3sftp.telemetry.metric_catalogue import GAUGE_ROWS, ROWS


class Metrics:
    """The metrics of one server, as one of its processes counts and reads them."""

    def __init__(self, table: SharedCounters | None = None, workers: int = 1) -> None:
        """`table` has `metric_catalogue.ROWS` rows; its first columns belong to the workers, `workers` in
        number. None: this process is the whole server."""
        self.table = table or SharedCounters.alone(ROWS)
        """The table itself, for code that counts often."""
        self._workers = workers
        self._observed: dict[Instrument, Callable[[], float]] = {}
        self.add = self.table.add
        """Adds to the row of a series. A gauge must not become negative."""
        self.set = self.table.set
        """Sets this process's value in a gauge's row."""
        self.observe(metric_catalogue.BUILD_INFO, lambda: 1)
        self.observe(metric_catalogue.S3_COST, self._s3_cost)

    def took(self, row: int, instrument: Instrument, seconds: float) -> None:
        """Count a duration in a histogram's series, which begins at `row`."""
        number = int(seconds * instrument.scale)
        self.add(row + bisect_left(instrument.limits, number))
        self.add(row + instrument.width - 1, number)

    def observe(self, instrument: Instrument, measure: Callable[[], float]) -> None:
        """Add `measure()` to the value of an instrument without labels; it is called whenever this process is
        read."""
        self._observed[instrument] = measure

    def worker_is_gone(self, column: int) -> None:
        """Clear the gauges of a worker that has ended; its counters stay."""
        self.table.part(0, GAUGE_ROWS).clear_column(column)

    def points(self, instrument: Instrument) -> Iterator[Point]:
        """The present value of every series of an instrument. Thread-safe."""
        if instrument.per_worker:
            row = instrument.row()
            for column in range(self._workers):
                number = self.table.in_column(row, column)
                yield Point({instrument.labels[0]: str(column + 1)}, number / instrument.scale)
            return
        measure = self._observed.get(instrument)
        for values in instrument.series:
            row = instrument.row(*values)
            numbers = [self.table.total(row + offset) for offset in range(instrument.width)]
            value = numbers[-1] / instrument.scale if instrument.scale > 1 else numbers[-1]
            yield Point(
                dict(zip(instrument.labels, values, strict=True)),
                value + measure() if measure is not None else value,
                numbers[:-1] if instrument.kind is InstrumentKind.HISTOGRAM else (),
            )

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the Prometheus text format, and its content type. Thread-safe."""
        from s3sftp.telemetry.exposition import exposition  # imported only in processes that render

        return exposition(self.points)

    def _s3_cost(self) -> float:
        """S3 does not charge for requests that it fails itself (5xx)."""
        paid = ("ok", "client_error", "no_answer")
        rows = {
            api: [metric_catalogue.S3_REQUESTS.row(api, result) for result in paid]
            for api in metric_catalogue.S3_APIS
        }
        return dollars({api: sum(map(self.table.total, each)) for api, each in rows.items()})
