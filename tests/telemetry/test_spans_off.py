"""While tracing is off, no span is made, and nothing that only a span needs is computed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace

from s3sftp.backends.memory import MemoryBackend
from s3sftp.telemetry import NO_SPAN, in_transfer, is_tracing, open_span, span, spans, without_span
from testbed.packets import STAT, string
from tests.cli.command_process import clean_environment
from tests.sftp.session_server import serving


def test_all_blocks_are_one_shared_object() -> None:
    assert not is_tracing()
    assert span("a") is span("b", dict) is without_span() is in_transfer() is NO_SPAN.current()
    assert open_span("a") is open_span("b") is NO_SPAN


async def test_no_span_is_made_by_anything_that_a_session_does(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def counted(*given: Any, **_: Any) -> dict[str, Any]:
        calls.append(given)
        return {}

    for costly in ("printable_attributes", "_Attached", "set_span_in_context", "attach"):
        monkeypatch.setattr(spans, costly, counted)
    async with serving(MemoryBackend()) as server, server.client() as client:
        await client.put(b"/f", b"x" * 1_000_000)
        assert await client.get(b"/f") == b"x" * 1_000_000
        await client.request(STAT, string(b"/none"))
        await client.rename(b"/f", b"/g")
        await client.list(b"/")
        await client.remove(b"/g")
    assert not calls
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_a_server_without_tracing_does_not_load_the_sdk() -> None:
    program = (
        "import sys, os; from s3sftp.telemetry.otel import configure_tracing; import s3sftp.app.application;"
    )
    program += "assert configure_tracing(os.environ) is None;"
    program += "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=clean_environment()
    )
    assert done.stdout.strip() == "[]"
