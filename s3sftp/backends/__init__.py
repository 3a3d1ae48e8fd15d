"""Storage behind the server: the contract, and the backends that fulfil it."""

from s3sftp.backends.contract import (
    Backend,
    Buffer,
    CompleteBackend,
    Entry,
    Extras,
    FileInfo,
    Finish,
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
    "Kind",
    "Place",
    "RangedReads",
    "Session",
    "StreamedWrites",
    "Upload",
    "Usage",
    "WriteIntent",
]
