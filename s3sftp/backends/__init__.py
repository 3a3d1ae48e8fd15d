"""Storage backends: the contract, and the implementations of it."""

from s3sftp.backends.contract import (
    Backend,
    Buffer,
    CompleteBackend,
    Entry,
    Extras,
    FileInfo,
    Finish,
    Grant,
    Kind,
    Place,
    RangedReads,
    Session,
    StreamedWrites,
    Upload,
    Usage,
    WriteIntent,
)

__all__ = [
    "Backend",
    "Buffer",
    "CompleteBackend",
    "Entry",
    "Extras",
    "FileInfo",
    "Finish",
    "Grant",
    "Kind",
    "Place",
    "RangedReads",
    "Session",
    "StreamedWrites",
    "Upload",
    "Usage",
    "WriteIntent",
]
