"""Makes a sink from its options. Imports a sink only if it is used: the libraries of AWS take memory."""

from __future__ import annotations

from s3sftp.events.sink import EventSink
from s3sftp.events.sinks.options import (
    AwsSinkOptions,
    EventBridgeSinkOptions,
    FileSinkOptions,
    SinkOptions,
    SnsSinkOptions,
    SqsSinkOptions,
    WebhookSinkOptions,
)


def make_sink(name: str, options: SinkOptions) -> EventSink:
    """Make the sink of `[events.sinks.NAME]`. Reads the files that its options name, and sends nothing.

    Raises ConfigurationError: if these files cannot be used.
    """
    match options:
        case FileSinkOptions():
            from s3sftp.events.sinks.file_sink import FileSink

            return FileSink(name, options)
        case WebhookSinkOptions():
            from s3sftp.events.sinks.webhook import WebhookSink

            return WebhookSink(name, options)
        case AwsSinkOptions():
            return _aws_sink(name, options)


def _aws_sink(name: str, options: SqsSinkOptions | SnsSinkOptions | EventBridgeSinkOptions) -> EventSink:
    from s3sftp.events.sinks.aws.aws_sink import AwsSink, region_in
    from s3sftp.events.sinks.aws.formats import EventBridgeFormat, SnsFormat, SqsFormat

    match options:
        case SqsSinkOptions():
            region = region_in(options.queue_url)
            return AwsSink(name, options, SqsFormat(options), region=region, in_order=options.is_fifo)
        case SnsSinkOptions():
            region = region_in(options.topic_arn)
            return AwsSink(name, options, SnsFormat(options), region=region, in_order=options.is_fifo)
        case EventBridgeSinkOptions():
            region = region_in(options.bus)
            return AwsSink(name, options, EventBridgeFormat(options), region=region, in_order=False)
