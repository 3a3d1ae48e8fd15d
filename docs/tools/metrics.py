"""Writes docs/metrics.md from the catalogue of metrics: `python docs/tools/metrics.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from s3sftp.telemetry.instrument import MOST_STORAGES, Instrument, InstrumentKind, MetricGroup
from s3sftp.telemetry.metric_catalogue import BUILD_INFO, CATALOGUE
from s3sftp.telemetry.metrics import MAIN_STORAGE, OTHER_STORAGES

PAGE = Path(__file__).parent.parent / "metrics.md"

HEAD = """# Metrics

What the server counts, summed over its workers. Prometheus reads it from `/metrics` of the admin port
(`admin.port`); the same instruments go by OTLP when the [standard variables](#otlp) ask for it.

Every series is there from the start, at 0, and there are never more of them: the values of all labels are
declared or, for storages, configured, and no user, file, address or bucket is among them. Counters never fall
while the server runs, even when a worker dies and is replaced; what it had open is no longer counted.

This page is made from the catalogue by `make docs`; a test compares them.
"""

TAIL = """
## OTLP

| variable | what it does |
|---|---|
| `OTEL_METRICS_EXPORTER` | `otlp`, `console` or another installed exporter, several by commas; `none`: off |
| `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | where to; turns `otlp` on |
| `OTEL_EXPORTER_OTLP_PROTOCOL` or `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL` | `http/protobuf` (default), `grpc` |
| `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between two exports, from 1 to 86400000; default 60000 |
| `OTEL_SDK_DISABLED` | `true`: no metrics and no traces are exported |

For gRPC install `s3sftp[otlp-grpc]`.

The names are those of this page. Sums are cumulative, histograms have the bounds above. The one process that
sees all workers exports them. Other variables (headers, time limits, compression, service name, resource) are
as OpenTelemetry has them. When the server ends it sends the last numbers, and waits 5 s at most.
"""


def main() -> None:
    PAGE.write_text(page(), "utf-8")


NOTES = {
    MetricGroup.TRANSFERS: """
Reasons of `aborted`:

| reason | what happened |
|---|---|
| `client_closed` | the client ended its session, or hung up, with the file open |
| `connection_lost` | the connection broke |
| `session_ended` | the server ended the session: it stops, or the user was removed |
| `idle`, `stalled` | `sftp.idle_timeout`; `sftp.stall_timeout`, as the client took no answers |
| `protocol_error`, `internal_error` | the session ended for that |
| `cancelled` | its CLOSE was cut off: `sftp.close_timeout`, `server.drain_timeout` |
| `unchanged` | it was closed, nothing had been written to it, and nothing had to be stored |
| `removed` | its name was removed, or given to another file |

Those of `failed` are the [errors](reference/errors.md), by their names.
""",
    MetricGroup.STORAGE: f"""
`storage` is the name of the [storage](storages.md) in the configuration; `{MAIN_STORAGE}` is that of `[s3]`.
There are {MOST_STORAGES} values at most: of more storages, those after the first {MOST_STORAGES - 1} are
counted together as `{OTHER_STORAGES}`. The sum over all storages is `sum without (storage) (…)`.
""",
}


def page() -> str:
    """The whole page."""
    return HEAD + "".join(map(_section, MetricGroup)) + TAIL


def _section(group: MetricGroup) -> str:
    members = [each for each in CATALOGUE if each.group is group]
    rows = "".join(map(_row, members))
    return (
        f"\n## {group.value}\n\n| metric | kind | unit | what it says |\n|---|---|---|---|\n{rows}"
        + "".join(map(_labels, members))
        + NOTES.get(group, "")
    )


def _row(instrument: Instrument) -> str:
    labels = f"{{{', '.join(instrument.labels)}}}" if instrument.labels else ""
    cells = (f"`{instrument.full_name}{labels}`", instrument.kind.value, instrument.unit, instrument.about)
    return f"| {' | '.join(cells)} |\n"


def _labels(instrument: Instrument) -> str:
    """The values of its labels, and the bounds of a histogram."""
    if not instrument.labels or instrument is BUILD_INFO:
        return ""
    if instrument.per_worker:
        return f"\n`{instrument.full_name}`: `worker` is the worker's number, from 1 on.\n"
    if not instrument.labels_of_series:
        return ""
    *before, last = instrument.labels_of_series
    rows: dict[str, str] = {}
    for values in _by_first(instrument.series).items():
        first, others = values
        shown = _list(others)
        rows[shown] = f"{rows[shown]}, `{' '.join(first)}`" if shown in rows else f"`{' '.join(first)}`"
    if before:
        head = f"| {' '.join(f'`{label}`' for label in before)} | `{last}` |\n|---|---|\n"
        lines = "".join(f"| {first} | {others} |\n" for others, first in rows.items())
    else:
        head, lines = "", f"- `{last}`: {next(iter(rows))}\n"
    if instrument.kind is InstrumentKind.HISTOGRAM:
        lines += f"- `le`: {_list(map(str, instrument.bounds))}, `+Inf`\n"
    return f"\nLabels of `{instrument.full_name}`:\n\n{head}{lines}"


def _by_first(series: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """The values of the last label, by those of the others."""
    found: dict[tuple[str, ...], list[str]] = {}
    for *first, last in series:
        found.setdefault(tuple(first), []).append(last)
    return found


def _list(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    sys.exit(main())
