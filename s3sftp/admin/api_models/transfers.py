"""Files that are open, or were."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer, ApiInput, Limit, Text

TransferState = Literal["live", "committed", "failed", "aborted"]


class TransferEntry(ApiAnswer):
    """A file that is open, or was."""

    id: str
    session: str
    user: str
    peer: str
    direction: Literal["upload", "download"]
    path: str
    bucket: str | None = None
    key: str | None = None
    bytes: NonNegativeInt
    """What the client has moved so far."""
    size: NonNegativeInt | None = None
    """The size of the file; null for an upload that is under way."""
    seconds: NonNegativeFloat
    bytes_per_second: NonNegativeFloat
    state: TransferState
    reason: str | None = None
    """Why it was aborted, or the kind of its failure."""
    error: str | None = None
    ended_at: datetime | None = None
    trace_id: str | None = None
    s3_requests: NonNegativeInt = 0
    s3_dollars: NonNegativeFloat = 0.0
    """An estimate by list prices, as in the log."""


class TransferList(ApiAnswer):
    """Live transfers by id, or recent ones, the latest first."""

    items: list[TransferEntry]
    not_answered: list[int] = Field(default=[])


class TransfersQuery(ApiInput):
    """Which transfers."""

    state: Literal["live", "recent"] = "live"
    user: Text | None = None
    result: Literal["committed", "failed", "aborted"] | None = None
    limit: Limit = 100
