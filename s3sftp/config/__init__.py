"""Typed options, read from several sources and validated once at start-up."""

from s3sftp.config.layers import Setting, Settings, from_environment, from_toml, tree_of
from s3sftp.config.options import Options
from s3sftp.config.reader import ReadResult, read, read_table
from s3sftp.config.source_files import Snapshot, SourceFiles
from s3sftp.config.types import DIVIDED, ByteSize, Duration, LocalPath, PositiveDuration, is_size

__all__ = [
    "DIVIDED",
    "ByteSize",
    "Duration",
    "LocalPath",
    "Options",
    "PositiveDuration",
    "ReadResult",
    "Setting",
    "Settings",
    "Snapshot",
    "SourceFiles",
    "from_environment",
    "from_toml",
    "is_size",
    "read",
    "read_table",
    "tree_of",
]
