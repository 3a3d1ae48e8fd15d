"""Counts what happens, in a table that the processes of one server share.

    a process that serves ── add ──► its column of the table ──┐
    another one           ── add ──► its column             ───┼── sum ──► render, export
    the one that is asked ── what it observes itself        ───┘

Counting is one addition in memory, so nothing has to be turned on for it. A server that is embedded has a
`Metrics` of its own, unless its application gives it one to read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import metric_catalogue
from s3sftp.telemetry.instrument import Instrument, InstrumentKind, Point
from s3sftp.telemetry.metric_catalogue import GAUGE_ROWS, ROWS
from s3sftp.telemetry.prices import dollars


class Metrics:
    """The numbers of one server, as one of its processes counts and reads them."""

    def __init__(self, table: SharedCounters | None = None, workers: int = 1) -> None:
        """`table` has `instruments.ROWS` rows; its first columns are those of so many workers. None: this
        process is the whole server."""
        self.table = table or SharedCounters.alone(ROWS)
        """The numbers themselves, for who counts often."""
        self._workers = workers
        self._observed: dict[Instrument, Callable[[], float]] = {}
        self.add = self.table.add
        """Add to the row of a series. A gauge must not become negative."""
        self.set = self.table.set
        """What a gauge's row says of this process from now on."""
        self.observe(metric_catalogue.BUILD_INFO, lambda: 1)
        self.observe(metric_catalogue.S3_COST, self._s3_cost)

    def took(self, row: int, instrument: Instrument, seconds: float) -> None:
        """Count a length of time in a histogram's series, which begins at this row."""
        number = int(seconds * instrument.scale)
        self.add(row + bisect_left(instrument.limits, number))
        self.add(row + instrument.width - 1, number)

    def observe(self, instrument: Instrument, look: Callable[[], float]) -> None:
        """Have an instrument without labels say this too, asked for whenever this process is read."""
        self._observed[instrument] = look

    def worker_is_gone(self, column: int) -> None:
        """What a worker had is no more; what it has counted stays."""
        self.table.part(0, GAUGE_ROWS).clear_column(column)

    def points(self, instrument: Instrument) -> Iterator[Point]:
        """Every series of an instrument. May be asked for in any thread."""
        if instrument.per_worker:
            row = instrument.row()
            for column in range(self._workers):
                number = self.table.in_column(row, column)
                yield Point({instrument.labels[0]: str(column + 1)}, number / instrument.scale)
            return
        look = self._observed.get(instrument)
        for values in instrument.series:
            row = instrument.row(*values)
            numbers = [self.table.total(row + offset) for offset in range(instrument.width)]
            value = numbers[-1] / instrument.scale if instrument.scale > 1 else numbers[-1]
            yield Point(
                dict(zip(instrument.labels, values, strict=True)),
                value + look() if look is not None else value,
                numbers[:-1] if instrument.kind is InstrumentKind.HISTOGRAM else (),
            )

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All of it as Prometheus reads it, and its content type. May be called in any thread."""
        from s3sftp.telemetry.exposition import exposition  # the library is for those who are asked

        return exposition(self.points)

    def _s3_cost(self) -> float:
        """S3 does not charge for requests that it fails itself (5xx)."""
        paid = ("ok", "client_error", "no_answer")
        rows = {
            api: [metric_catalogue.S3_REQUESTS.row(api, result) for result in paid]
            for api in metric_catalogue.S3_APIS
        }
        return dollars({api: sum(map(self.table.total, each)) for api, each in rows.items()})
