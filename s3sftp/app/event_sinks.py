"""Makes the sinks that the options name, and the rules for what each receives."""

from __future__ import annotations

from s3sftp.events.options import EventsOptions
from s3sftp.events.routes import SinkRule
from s3sftp.events.sink import EventSink


def make_sinks(options: EventsOptions) -> list[tuple[SinkRule, EventSink]]:
    """The sinks, not started. Reads the files that their options name.

    Raises ConfigurationError: if these files cannot be used.
    """
    if not options.sinks:
        return []
    from s3sftp.events.sinks.factory import make_sink

    return [
        (
            SinkRule(
                name,
                frozenset(sink.kinds),
                tuple(sink.paths),
                sink.synchronous,
                sink.time_limit.total_seconds(),
                sink.type,
            ),
            make_sink(name, sink),
        )
        for name, sink in options.sinks.items()
    ]
