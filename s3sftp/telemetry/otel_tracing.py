"""Configures OpenTelemetry tracing from the standard environment variables.

If none of them asks for tracing, no SDK is installed, and spans cost nothing. `otel_exporters.py` lists those
that do; the SDK itself reads the others (service name, resource, sampler, batch sizes, headers, timeouts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentelemetry import trace

from s3sftp.telemetry.otel_exporters import identity, load_exporter, wanted_exporters


def configure_tracing(environ: Mapping[str, str]) -> Callable[[], None] | None:
    """Install the SDK if the environment asks for it. Returns a (blocking) function that flushes and stops
    it, or None.

    Raises ConfigurationError: if a named exporter is not installed.
    """
    names = wanted_exporters("TRACES", environ)
    if not names:
        return None
    factories = [load_exporter("TRACES", name) for name in names]
    # imported late: a server without tracing does not pay for the SDK
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create(identity(environ)), shutdown_on_exit=False)
    for factory in factories:
        provider.add_span_processor(BatchSpanProcessor(factory()))
    trace.set_tracer_provider(provider)
    return provider.shutdown
