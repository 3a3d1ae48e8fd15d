"""What subscribers are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3sftp.backends import Place, Session


@dataclass(frozen=True, slots=True)
class Committed:
    """A file that the storage has accepted, whole, under its name."""

    path: str
    """As the user sees it. Bytes that are not UTF-8 are lone surrogates, as `os.fsencode` understands."""
    place: Place
    """Where it is in the storage; `place.key` is its key."""
    size: int
    version: str | None
    """As the storage says it (S3: the ETag, quotes included); None when it does not."""
    mtime: float | None
    """Seconds since the epoch; None when the storage does not say."""
    session: Session
    """Whose upload it was."""
    duration: float
    """Seconds from OPEN to the commit."""
    committed_at: float
    """Seconds since the epoch."""
    trace_context: Mapping[str, str]
    """W3C headers of the operation that committed it; empty while nobody traces."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file or a directory tree that has got another name."""

    source: str
    target: str
    source_place: Place
    target_place: Place
    session: Session
    renamed_at: float
    """Seconds since the epoch."""
    trace_context: Mapping[str, str]
