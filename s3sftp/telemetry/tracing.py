"""Set up OpenTelemetry tracing as the standard environment variables ask for it.

    OTEL_SDK_DISABLED=true             off
    OTEL_TRACES_EXPORTER               otlp, console, none, any installed exporter; several by commas
    OTEL_EXPORTER_OTLP[_TRACES]_ENDPOINT   its presence alone turns otlp on

When none of them asks for anything no SDK is installed, and spans cost nothing. The remaining variables
(service name, resource, sampler, batch sizes, headers, time limits) are read by the SDK itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace

from s3sftp import __version__
from s3sftp.errors import ConfigurationError

_GROUP = "opentelemetry_traces_exporter"
_FLUSH_SECONDS = 5.0


def configure_tracing(environ: Mapping[str, str]) -> Callable[[], None] | None:
    """Install the SDK if the environment asks for it; returns what flushes and ends it (blocking), or None.

    Raises ConfigurationError when an exporter is named that is not installed.
    """
    names = _exporters(environ)
    if not names:
        return None
    factories = [_load(name) for name in names]
    # imported late: a server without tracing does not pay for the SDK
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create(_identity(environ)), shutdown_on_exit=False)
    for factory in factories:
        provider.add_span_processor(BatchSpanProcessor(factory()))
    trace.set_tracer_provider(provider)
    return provider.shutdown


async def end_tracing(shutdown: Callable[[], None] | None) -> None:
    """Send what is left, without holding up the end of the process for long."""
    if shutdown is None:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> None:
        try:
            shutdown()
        finally:
            # the loop may be gone when the collector took too long to answer
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

    # a daemon: the loop's own threads are waited for at the end of the process, however long they take
    threading.Thread(target=run, name="tracing-shutdown", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), _FLUSH_SECONDS)


def _exporters(environ: Mapping[str, str]) -> list[str]:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    wanted = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not wanted and any(
        environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    ):
        wanted = "otlp"
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    return [_alias(name, environ) for name in names if name != "none"]


def _alias(name: str, environ: Mapping[str, str]) -> str:
    if name != "otlp":
        return name
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"


def _load(name: str) -> Callable[[], Any]:
    for entry in entry_points(group=_GROUP, name=name):
        factory: Callable[[], Any] = entry.load()
        return factory
    known = ", ".join(sorted({entry.name for entry in entry_points(group=_GROUP)}))
    raise ConfigurationError([f"OTEL_TRACES_EXPORTER: no exporter '{name}' is installed; installed: {known}"])


def _identity(environ: Mapping[str, str]) -> dict[str, str]:
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    identity = {"service.version": __version__}
    return identity if named else identity | {"service.name": "s3sftp"}
