"""Makes a sink from its options."""

from __future__ import annotations

from s3sftp.events.sink import EventSink
from s3sftp.events.sinks.file_sink import FileSink
from s3sftp.events.sinks.options import FileSinkOptions, SinkOptions


def make_sink(name: str, options: SinkOptions) -> EventSink:
    """Make the sink of `[events.sinks.NAME]`. Reads the files that its options name, and sends nothing.

    Raises ConfigurationError: if these files cannot be used.
    """
    match options:
        case FileSinkOptions():
            return FileSink(name, options)
    raise NotImplementedError(options.type)
