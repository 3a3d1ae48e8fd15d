"""`python -m bench.tracing_switch serve …`: s3sftp whose tracing a signal turns off and on again.

`SWITCH` takes the provider of OpenTelemetry away, or gives it back: without one s3sftp makes no span, as if
tracing had never been asked for. So one process can be measured with and without. After each signal the file
that `STATE_VARIABLE` names says `on` or `off`, and the id of the thread that exports.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from opentelemetry import trace

from s3sftp.cli import main

SWITCH = signal.SIGUSR2
STATE_VARIABLE = "BENCH_TRACING_STATE"
_EXPORTER = "OtelBatchSpanRecordProcessor"


def _switching(state: Path) -> None:
    taken: list[trace.TracerProvider] = []

    def switch(*_: object) -> None:
        if taken:
            trace._TRACER_PROVIDER = taken.pop()
        elif trace._TRACER_PROVIDER is not None:
            taken.append(trace._TRACER_PROVIDER)
            trace._TRACER_PROVIDER = None
        exporters = [each.native_id for each in threading.enumerate() if each.name == _EXPORTER]
        new = state.with_suffix(".new")
        new.write_text(f"{'off' if taken else 'on'} {exporters[0] if exporters else 0}")
        new.rename(state)

    signal.signal(SWITCH, switch)


if __name__ == "__main__":
    _switching(Path(os.environ[STATE_VARIABLE]))
    raise SystemExit(main())
