"""One metric: its name, its labels with all their values, and where its numbers stand in a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class InstrumentKind(Enum):
    """What a number means over time."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class MetricGroup(Enum):
    """Where the page has it."""

    SERVER = "The server"
    CONNECTIONS = "Connections and logins"
    OPERATIONS = "Operations"
    TRANSFERS = "Transfers and memory"
    STORAGE = "Requests to S3"


class Instrument:
    """One metric. `row` is where a series of it has its number, or its first one."""

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
        other: tuple[str, ...] | None = None,
    ) -> None:
        """`name` is without `_total`. `series` has the values of the labels, a tuple for each series; with
        `per_worker` there is one for each worker. `scale` is how many numbers of the table make one unit,
        `other` the series that counts what has none, `bounds` are a histogram's, in units.
        """
        self.group = group
        self.kind = kind
        self.name = name
        self.about = about
        self.labels = tuple(labels)
        self.series = tuple(series)
        self.unit = unit
        self.scale = scale
        self.bounds = tuple(bounds)
        self.per_worker = per_worker
        self._other = other
        self.limits = [round(bound * scale) for bound in bounds]
        """The bounds as numbers of the table."""
        self.width = len(self.bounds) + 2 if kind is InstrumentKind.HISTOGRAM else 1
        """How many rows a series has."""
        self._rows: dict[tuple[str, ...], int] = {}

    def lay_out(self, first: int) -> int:
        """Give each series its rows, from this one on; returns the first row behind them."""
        for number, values in enumerate(self.series):
            self._rows[values] = first + number * self.width
        return first + len(self.series) * self.width

    @property
    def full_name(self) -> str:
        """As Prometheus shows it."""
        return f"{self.name}_total" if self.kind is InstrumentKind.COUNTER else self.name

    def row(self, *values: str) -> int:
        """The row of a series, by the values of its labels. Raises KeyError for what is not declared, where
        nothing stands for the rest."""
        row = self._rows.get(values)
        return self._rows[self._other if self._other is not None else values] if row is None else row


@dataclass(frozen=True, slots=True)
class Point:
    """What one series says now, in the instrument's unit."""

    labels: dict[str, str]
    value: float
    """A histogram's: the sum of all that was measured."""
    buckets: Sequence[int] = ()
    """A histogram's: how many fell between the bounds, and beyond the last."""
