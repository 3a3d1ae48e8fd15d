"""Storage behind the server: the contract, and the backends that fulfil it."""

from s3sftp.backends.contract import (
    Backend,
    Buffer,
    Entry,
    FileInfo,
    Finish,
    Kind,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)

__all__ = [
    "Backend",
    "Buffer",
    "Entry",
    "FileInfo",
    "Finish",
    "Kind",
    "Place",
    "Session",
    "Upload",
    "Usage",
    "WriteIntent",
]
