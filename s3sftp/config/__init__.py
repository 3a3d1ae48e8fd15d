"""Typed options: what can be configured, checked once at start-up."""

from s3sftp.config.durations import Duration
from s3sftp.config.layers import Setting, Settings, from_environment, from_toml
from s3sftp.config.options import ByteSize, LocalPath, Options
from s3sftp.config.reader import Reading, read

__all__ = [
    "ByteSize",
    "Duration",
    "LocalPath",
    "Options",
    "Reading",
    "Setting",
    "Settings",
    "from_environment",
    "from_toml",
    "read",
]
