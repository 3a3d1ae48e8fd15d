"""Sinks: what delivers events to other systems."""

from s3sftp.events.sinks.factory import make_sink
from s3sftp.events.sinks.options import SinkOptions

__all__ = ["SinkOptions", "make_sink"]
