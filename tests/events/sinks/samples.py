"""Events for the tests of sinks."""

from __future__ import annotations

from typing import Any

from s3sftp.events.cloud_event import CloudEvent, EventKind

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def sample(
    id: str = "01J0000000000000000000001A",
    kind: EventKind = EventKind.UPLOAD_COMMITTED,
    subject: str = "/in/orders.csv",
    user: str = "acme",
    size: int = 0,
    **data: Any,
) -> CloudEvent:
    """An event; `size` adds so many bytes to its data."""
    fields = {"user": user, "path": subject, **data} | ({"filler": "x" * size} if size else {})
    return CloudEvent(id, kind, "/s3sftp/test", subject, 1_790_000_000.5, fields, TRACEPARENT)
