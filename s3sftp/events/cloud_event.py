"""An event for other systems, as CloudEvents 1.0 describes one in JSON."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

CONTENT_TYPE: Final = "application/cloudevents+json"
SPEC_VERSION: Final = "1.0"
_TYPE_PREFIX: Final = "s3sftp."


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
        """Return the event in the JSON format of CloudEvents, structured mode.

        It is valid UTF-8: bytes of a path that are not, which are lone surrogates here, become U+FFFD. The
        key in `data` is always exact.
        """
        fields: dict[str, object] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": self.source,
            "type": f"{_TYPE_PREFIX}{self.kind}",
            "subject": self.subject,
            "time": _time_text(self.time),
            "datacontenttype": "application/json",
        }
        if self.traceparent is not None:
            fields["traceparent"] = self.traceparent
        fields["data"] = dict(self.data)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()

    @classmethod
    def from_json(cls, text: bytes) -> CloudEvent:
        """Read what `to_json` wrote. Raises ValueError: if it is no such event."""
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("an event should be a JSON object")  # noqa: TRY004 (what the caller expects of any wrong text)
        if fields.get("specversion") != SPEC_VERSION:
            raise ValueError(f"specversion = {fields.get('specversion')!r}: should be {SPEC_VERSION!r}")
        trace, data = fields.get("traceparent"), fields.get("data", {})
        if not (trace is None or isinstance(trace, str)) or not isinstance(data, dict):
            raise ValueError("traceparent should be a text, and data an object")
        kind = _text(fields, "type")
        return cls(
            _text(fields, "id"),
            EventKind(kind.removeprefix(_TYPE_PREFIX)),
            _text(fields, "source"),
            _text(fields, "subject"),
            datetime.fromisoformat(_text(fields, "time")).timestamp(),
            data,
            trace,
        )


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} = {value!r}: should be a text")  # noqa: TRY004
    return value
