"""Typed options, read from several sources and validated once at start-up."""

from s3sftp.config.documents import Document, read_document
from s3sftp.config.layers import Setting, Settings, from_environment, from_toml
from s3sftp.config.options import Options
from s3sftp.config.problems import is_secret, shown, suggestion
from s3sftp.config.reader import ReadResult, read, read_table, tables_below
from s3sftp.config.source_files import Snapshot, SourceFiles
from s3sftp.config.types import DIVIDED, ByteSize, Duration, LocalPath, PositiveDuration, is_size

__all__ = [
    "DIVIDED",
    "ByteSize",
    "Document",
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
    "is_secret",
    "is_size",
    "read",
    "read_document",
    "read_table",
    "shown",
    "suggestion",
    "tables_below",
]
