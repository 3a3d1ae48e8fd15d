"""One metric: its name, its labels with all their values, and its rows in the table of counters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class InstrumentKind(Enum):
    """How a metric's number develops over time."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class MetricGroup(Enum):
    """The section of docs/metrics.md that lists a metric."""

    SERVER = "The server"
    CONNECTIONS = "Connections and logins"
    OPERATIONS = "Operations"
    TRANSFERS = "Transfers and memory"
    EVENTS = "Events for other systems"
    STORAGE = "Requests to S3"


MOST_STORAGES = 32
"""Storages that metrics tell apart: the last number stands for all others together."""


class Instrument:
    """One metric. `row` is the (first) row of a series in the table."""

    def __init__(
        self,
        group: MetricGroup,
        kind: InstrumentKind,
        name: str,
        about: str,
        labels: Sequence[str] = (),
        series: Iterable[tuple[str, ...]] = ((),),
        *,
        unit: str = "",
        scale: int = 1,
        bounds: Sequence[float] = (),
        per_worker: bool = False,
        per_storage: bool = False,
        other: tuple[str, ...] | None = None,
    ) -> None:
        """`name` is without `_total`. `series` has the values of the labels, a tuple for each series; with
        `per_worker` there is one series for each worker, and with `per_storage` each series is there for each
        storage: the label `storage` comes before the others. `scale` is how many table units make one unit of
        the metric. `other` is the series that counts all values that have none of their own. `bounds` are a
        histogram's bucket bounds, in units of the metric."""
        self.group = group
        self.kind = kind
        self.name = name
        self.about = about
        self.labels_of_series = tuple(labels)
        """The labels whose values are in `series`: all but that of the storage."""
        self.labels = ("storage", *labels) if per_storage else tuple(labels)
        self.series = tuple(series)
        self.unit = unit
        self.scale = scale
        self.bounds = tuple(bounds)
        self.per_worker = per_worker
        self.per_storage = per_storage
        self._other = other
        self.limits = [round(bound * scale) for bound in bounds]
        """The bounds in table units."""
        self.width = len(self.bounds) + 2 if kind is InstrumentKind.HISTOGRAM else 1
        """Number of rows of a series."""
        self._rows: dict[tuple[str, ...], int] = {}

    def lay_out(self, first: int) -> int:
        """Assign rows to each series, beginning with `first`; returns the first row after them. The rows of a
        storage are together, and its number times `rows_of_storage` behind those of the first one."""
        for number, values in enumerate(self.series):
            self._rows[values] = first + number * self.width
        return first + self.rows_of_storage * (MOST_STORAGES if self.per_storage else 1)

    @property
    def rows_of_storage(self) -> int:
        """Number of rows of all series, of one storage."""
        return len(self.series) * self.width

    @property
    def full_name(self) -> str:
        """The name as Prometheus shows it."""
        return f"{self.name}_total" if self.kind is InstrumentKind.COUNTER else self.name

    def row(self, *values: str, storage: int = 0) -> int:
        """The row of a series, by the values of its labels; with `per_storage` without that of the storage,
        whose number is `storage` (`Metrics.number_of`).

        Raises KeyError: if the values are not declared and there is no `other` series.
        """
        row = self._rows.get(values)
        if row is None:
            row = self._rows[self._other if self._other is not None else values]
        return row + storage * self.rows_of_storage if storage else row


@dataclass(frozen=True, slots=True)
class Point:
    """The present value of one series, in the instrument's unit."""

    labels: dict[str, str]
    value: float
    """For a histogram: the sum of all measured values."""
    buckets: Sequence[int] = ()
    """For a histogram: how many values fell between the bounds, and beyond the last."""
