"""Configures OpenTelemetry tracing, and finds the exporters, from the standard environment variables.

OTEL_SDK_DISABLED=true                   off
OTEL_<SIGNAL>_EXPORTER                   otlp, console, none, any installed exporter; several by commas
OTEL_EXPORTER_OTLP[_<SIGNAL>]_ENDPOINT   its presence alone turns otlp on
OTEL_EXPORTER_OTLP[_<SIGNAL>]_PROTOCOL   http/protobuf or grpc, which s3sftp[otlp-grpc] installs

If none of them asks for tracing, no SDK is loaded, and spans cost nothing. The SDK itself reads the other
variables (service name, resource, sampler, batch sizes, headers, timeouts). If OTEL_TRACES_SAMPLER is not
set, ordinary spans are dropped as `span_groups` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace

from s3sftp import __version__
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.export_problems import ReportedExporter, take_sdk_log
from s3sftp.telemetry.options import TracingOptions

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_FLUSH_SECONDS = 5.0
_GRPC = "otlp_proto_grpc"
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": _GRPC}
"""Exporters by the protocol."""


def configure_tracing(
    environ: Mapping[str, str], options: TracingOptions | None = None
) -> Callable[[], None] | None:
    """Begin to trace if the environment asks for it. Returns a (blocking) function that exports what is left
    and stops, or None. Without `options` their defaults hold.

    Raises ConfigurationError: if a named exporter is not installed, or the protocol is not known.
    """
    names = wanted_exporters("TRACES", environ)
    if not names:
        return None
    factories = [load_exporter("TRACES", name) for name in names]
    # imported late: a server without tracing does not pay for the SDK
    from opentelemetry.sdk.resources import Resource

    from s3sftp.telemetry.span_export import LightTracerProvider

    take_sdk_log()
    resource = Resource.create({**identity(environ), "process.pid": os.getpid()})
    exporters = [cast("SpanExporter", ReportedExporter(factory())) for factory in factories]
    chosen = environ.get("OTEL_TRACES_SAMPLER", "").strip()
    provider = LightTracerProvider(resource, exporters, None if chosen else options or TracingOptions())
    trace.set_tracer_provider(provider)
    return provider.shutdown


def wanted_exporters(signal: str, environ: Mapping[str, str]) -> list[str]:
    """The names of the exporters for `TRACES` or `METRICS`.

    Raises ConfigurationError: if OTLP has a protocol that is not known.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    wanted = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if not wanted and any(
        environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    ):
        wanted = "otlp"
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    return [_alias(name, signal, environ) for name in names if name != "none"]


def _alias(name: str, signal: str, environ: Mapping[str, str]) -> str:
    if name != "otlp":
        return name
    for variable in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(variable, "").strip()
        if protocol and protocol not in _PROTOCOLS:
            known = " or ".join(_PROTOCOLS)
            raise ConfigurationError([f"{variable} = {protocol[:40]!r}: should be {known}"])
        if protocol:
            return _PROTOCOLS[protocol]
    return _PROTOCOLS["http/protobuf"]


def load_exporter(signal: str, name: str) -> Callable[[], Any]:
    """Return the factory of an exporter.

    Raises ConfigurationError: if no exporter of that name is installed.
    """
    group = f"opentelemetry_{signal.lower()}_exporter"
    for entry in entry_points(group=group, name=name):
        factory: Callable[[], Any] = entry.load()
        return factory
    if name == _GRPC:
        raise ConfigurationError(
            ["OTLP by gRPC needs a package that is not installed: pip install 's3sftp[otlp-grpc]'"]
        )
    known = ", ".join(sorted({entry.name for entry in entry_points(group=group)}))
    raise ConfigurationError(
        [f"OTEL_{signal}_EXPORTER: no exporter '{name}' is installed; installed: {known}"]
    )


def identity(environ: Mapping[str, str]) -> dict[str, str]:
    """The resource attributes of this program, except those that the environment sets."""
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    known = {"service.version": __version__}
    return known if named else known | {"service.name": "s3sftp"}


async def end_exporting(*shutdowns: Callable[[], None] | None) -> None:
    """Flush all signals concurrently, within a bounded time so that the process can end."""
    await asyncio.gather(*(_end(shutdown) for shutdown in shutdowns if shutdown is not None))


async def _end(shutdown: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> None:
        try:
            shutdown()
        finally:
            # the loop may be closed when the collector took too long to answer
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

    # a daemon thread: the process waits for the loop's own threads at its end, however long they take
    threading.Thread(target=run, name="telemetry-shutdown", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), _FLUSH_SECONDS)
