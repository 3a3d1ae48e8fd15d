"""`python -m bench.tracing_switch serve …`: s3sftp whose tracing a signal turns off and on again.

`SWITCH` takes the provider of OpenTelemetry away, or gives it back: without one s3sftp makes no span, as if
tracing had never been asked for. So one process can be measured with and without. After each signal the file
that `STATE_VARIABLE` names says `on` or `off`, the id of the thread that exports, and how many bytecodes the
event loop has run and spans it has made since the signal before, if `COUNT_VARIABLE` is set: the server is
many times slower then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from opentelemetry import trace

from s3sftp.cli import main
from s3sftp.telemetry.light_spans import LightSpan

SWITCH = signal.SIGUSR2
STATE_VARIABLE = "BENCH_TRACING_STATE"
COUNT_VARIABLE = "BENCH_TRACING_COUNT"
_EXPORTER = "OtelBatchSpanRecordProcessor"


class _Bytecodes:
    """Counts those that this thread runs, and the spans that it makes."""

    def __init__(self) -> None:
        self._count = 0
        self._spans = 0

    def begin(self) -> None:
        sys.settrace(self._call)

    def taken(self) -> tuple[int, int]:
        """Bytecodes and spans since the last time."""
        found = self._count, self._spans
        self._count = self._spans = 0
        return found

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        self._spans += frame.f_code is LightSpan.__init__.__code__
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._one

    def _one(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self._count += event == "opcode"
        return self._one


def _switching(state: Path, bytecodes: _Bytecodes) -> None:
    taken: list[trace.TracerProvider] = []

    def switch(*_: object) -> None:
        if taken:
            trace._TRACER_PROVIDER = taken.pop()
        elif trace._TRACER_PROVIDER is not None:
            taken.append(trace._TRACER_PROVIDER)
            trace._TRACER_PROVIDER = None
        exporters = [each.native_id for each in threading.enumerate() if each.name == _EXPORTER]
        new = state.with_suffix(".new")
        now = "off" if taken else "on"
        new.write_text(" ".join(map(str, (now, *(exporters or [0])[:1], *bytecodes.taken()))))
        new.rename(state)

    signal.signal(SWITCH, switch)


if __name__ == "__main__":
    counter = _Bytecodes()
    _switching(Path(os.environ[STATE_VARIABLE]), counter)
    if COUNT_VARIABLE in os.environ:
        counter.begin()
    raise SystemExit(main())
