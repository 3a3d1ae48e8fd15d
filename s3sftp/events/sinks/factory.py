"""Makes a sink from its options."""

from __future__ import annotations

from s3sftp.events.sink import EventSink
from s3sftp.events.sinks.aws.aws_sink import AwsSink, region_in
from s3sftp.events.sinks.aws.formats import EventBridgeFormat, SnsFormat, SqsFormat
from s3sftp.events.sinks.file_sink import FileSink
from s3sftp.events.sinks.options import (
    EventBridgeSinkOptions,
    FileSinkOptions,
    SinkOptions,
    SnsSinkOptions,
    SqsSinkOptions,
    WebhookSinkOptions,
)
from s3sftp.events.sinks.webhook import WebhookSink


def make_sink(name: str, options: SinkOptions) -> EventSink:
    """Make the sink of `[events.sinks.NAME]`. Reads the files that its options name, and sends nothing.

    Raises ConfigurationError: if these files cannot be used.
    """
    match options:
        case FileSinkOptions():
            return FileSink(name, options)
        case WebhookSinkOptions():
            return WebhookSink(name, options)
        case SqsSinkOptions():
            region = region_in(options.queue_url)
            return AwsSink(name, options, SqsFormat(options), region=region, in_order=options.is_fifo)
        case SnsSinkOptions():
            region = region_in(options.topic_arn)
            return AwsSink(name, options, SnsFormat(options), region=region, in_order=options.is_fifo)
        case EventBridgeSinkOptions():
            region = region_in(options.bus)
            return AwsSink(name, options, EventBridgeFormat(options), region=region, in_order=False)
