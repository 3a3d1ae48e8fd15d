"""An event for other systems, as CloudEvents 1.0 describes one in JSON."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONTENT_TYPE = "application/cloudevents+json"
SPEC_VERSION = "1.0"


class EventKind(enum.StrEnum):
    """What has happened. The `type` of the CloudEvent is `s3sftp.` and this."""

    UPLOAD_COMMITTED = "upload.committed"
    UPLOAD_FAILED = "upload.failed"
    UPLOAD_ABORTED = "upload.aborted"
    DOWNLOAD_COMPLETED = "download.completed"
    DOWNLOAD_FAILED = "download.failed"
    DOWNLOAD_ABORTED = "download.aborted"
    FILE_REMOVED = "file.removed"
    FILE_RENAMED = "file.renamed"
    DIRECTORY_RENAMED = "directory.renamed"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    FILE_MISSING = "file.missing"
    """A file that an `expect` rule asks for has not arrived in time."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event. It is the same for all sinks and all attempts."""

    id: str
    """Unique for this server's source: receivers drop a second event with the same `source` and `id`."""
    kind: EventKind
    source: str
    """Which server, as a URI reference."""
    subject: str
    """The path as the user sees it; the user's name for logins."""
    time: float
    """When it happened, in seconds since the epoch."""
    data: Mapping[str, Any]
    """The documented fields of this kind; JSON values."""
    traceparent: str | None = None
    """W3C trace context of the operation; None while tracing is off."""

    def to_json(self) -> bytes:
        """Return the event in the JSON format of CloudEvents, structured mode."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, text: bytes) -> CloudEvent:
        """Read what `to_json` wrote. Raises ValueError: if it is no such event."""
        raise NotImplementedError
