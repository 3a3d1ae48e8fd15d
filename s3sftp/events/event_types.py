"""The events that subscribers receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3sftp.backends import Place, Session


@dataclass(frozen=True, slots=True)
class Committed:
    """The storage has accepted a whole file under its name."""

    path: str
    """The path as the user sees it. Bytes that are not UTF-8 are lone surrogates, which `os.fsencode`
    converts."""
    place: Place
    """Where the file is in the storage; `place.key` is its key."""
    size: int
    version: str | None
    """The version that the storage reports (S3: the ETag, with its quotes); None if it reports none."""
    mtime: float | None
    """Seconds since the epoch; None if the storage does not report it."""
    session: Session
    """The session of the upload."""
    duration: float
    """Seconds from OPEN to the commit."""
    committed_at: float
    """Seconds since the epoch."""
    trace_context: Mapping[str, str]
    """W3C headers of the operation that committed the file; empty while tracing is off."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file or a directory tree has been renamed."""

    source: str
    target: str
    source_place: Place
    target_place: Place
    session: Session
    renamed_at: float
    """Seconds since the epoch."""
    trace_context: Mapping[str, str]
