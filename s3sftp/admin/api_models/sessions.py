"""Sessions that are open."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer, ApiInput, Limit, Text


class SftpSessionEntry(ApiAnswer):
    """A session that is open now."""

    id: str
    user: str
    peer: str
    client: str
    """The name and version that the client gives itself."""
    method: str
    """How the user logged in, such as `publickey` or `password+totp`."""
    started_at: datetime
    idle_seconds: NonNegativeFloat
    """Since bytes last moved, either way."""
    worker: NonNegativeInt
    """Number of the process that serves it; 0 if there is only one."""
    handles: NonNegativeInt
    operations: NonNegativeInt
    """Requests that have arrived."""
    bytes_in: NonNegativeInt
    """File content that the client has written."""
    bytes_out: NonNegativeInt
    trace_id: str | None = None


class SessionPage(ApiAnswer):
    """Sessions, in the order of their ids."""

    items: list[SftpSessionEntry]
    next: str | None = None
    """The `cursor` of the following page; null: this is the last one."""
    not_answered: list[int] = Field(default=[])


class SessionsQuery(ApiInput):
    """Which sessions."""

    user: Text | None = None
    limit: Limit = 100
    cursor: Text | None = None
    """`next` of the page before."""
