"""Typed options: what can be configured, checked once at start-up."""

from s3sftp.config.layers import Setting, Settings, from_environment, from_toml, tree_of
from s3sftp.config.options import Options
from s3sftp.config.reader import Reading, read, read_table
from s3sftp.config.sources import Snapshot, Sources
from s3sftp.config.types import DIVIDED, ByteSize, Duration, LocalPath, PositiveDuration, is_size

__all__ = [
    "DIVIDED",
    "ByteSize",
    "Duration",
    "LocalPath",
    "Options",
    "PositiveDuration",
    "Reading",
    "Setting",
    "Settings",
    "Snapshot",
    "Sources",
    "from_environment",
    "from_toml",
    "is_size",
    "read",
    "read_table",
    "tree_of",
]
