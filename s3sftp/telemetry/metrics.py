"""Counts events and sizes in a table that the processes of one server share.

    a serving process     ── add ──► its column of the table ──┐
    another one           ── add ──► its column             ───┼── sum ──► render, export
    the process that is asked ── values it observes itself  ───┘

Counting is one addition in memory, so it is always on. An embedded server has its own `Metrics`, unless its
application passes one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import metric_catalogue
from s3sftp.telemetry.costs import dollars
from s3sftp.telemetry.instrument import MOST_STORAGES, Instrument, InstrumentKind, Point
from s3sftp.telemetry.metric_catalogue import GAUGE_ROWS, ROWS

MAIN_STORAGE = "_s3"
"""What the label `storage` says of the storage without a name. Names of others begin with a letter."""
OTHER_STORAGES = "_others"
"""What it says of all storages that are too many to be told apart."""


class Metrics:
    """The metrics of one server, as one of its processes counts and reads them."""

    def __init__(
        self,
        table: SharedCounters | None = None,
        workers: int = 1,
        storages: Sequence[str] = ("",),
    ) -> None:
        """`table` has `metric_catalogue.ROWS` rows; its first columns belong to the workers, `workers` in
        number. None: this process is the whole server. `storages` are the names of all of them, in the same
        order in each process."""
        self.table = table or SharedCounters.alone(ROWS)
        """The table itself, for code that counts often."""
        self._workers = workers
        self._storages = [name or MAIN_STORAGE for name in storages[: MOST_STORAGES - 1]]
        if len(storages) >= MOST_STORAGES:
            self._storages.append(OTHER_STORAGES)
        self._numbers = {name: min(at, MOST_STORAGES - 1) for at, name in enumerate(storages)}
        self._observed: dict[Instrument, Callable[[], float]] = {}
        self.add = self.table.add
        """Adds to the row of a series. A gauge must not become negative."""
        self.set = self.table.set
        """Sets this process's value in a gauge's row."""
        self.observe(metric_catalogue.BUILD_INFO, lambda: 1)

    def number_of(self, storage: str) -> int:
        """The number of a storage in the rows of metrics that have the label `storage`, by its name."""
        return self._numbers.get(storage, 0)

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
        if instrument.per_storage:
            for number, name in enumerate(self._storages):
                more = self._s3_cost(number) if instrument is metric_catalogue.S3_COST else 0
                for values in instrument.series:
                    row = instrument.row(*values, storage=number)
                    yield self._point(instrument, (name, *values), row, more)
            return
        measure = self._observed.get(instrument)
        for values in instrument.series:
            more = measure() if measure is not None else 0
            yield self._point(instrument, values, instrument.row(*values), more)

    def _point(self, instrument: Instrument, values: tuple[str, ...], row: int, more: float) -> Point:
        numbers = [self.table.total(row + offset) for offset in range(instrument.width)]
        value = numbers[-1] / instrument.scale if instrument.scale > 1 else numbers[-1]
        return Point(
            dict(zip(instrument.labels, values, strict=True)),
            value + more,
            numbers[:-1] if instrument.kind is InstrumentKind.HISTOGRAM else (),
        )

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the Prometheus text format, and its content type. Thread-safe."""
        from s3sftp.telemetry.exposition import exposition  # imported only in processes that render

        return exposition(self.points)

    def _s3_cost(self, storage: int) -> float:
        """S3 does not charge for requests that it fails itself (5xx)."""
        paid = ("ok", "client_error", "no_answer")
        rows = {
            api: [metric_catalogue.S3_REQUESTS.row(api, result, storage=storage) for result in paid]
            for api in metric_catalogue.S3_APIS
        }
        return dollars({api: sum(map(self.table.total, each)) for api, each in rows.items()})
