"""Bans in force."""

from __future__ import annotations

from datetime import datetime

from pydantic import NonNegativeFloat, NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer


class BanEntry(ApiAnswer):
    """A ban in force, of this server or of a replica that shares its bans."""

    id: str
    """The source with `_` for `/`."""
    source: str
    reason: str
    score: float
    number: NonNegativeInt
    """The how manyth ban of the source it is."""
    seconds: NonNegativeFloat
    remaining_seconds: NonNegativeFloat
    until: datetime
    replica: str | None = None
    """The replica that banned it; null: this server."""


class BanList(ApiAnswer):
    """All bans."""

    items: list[BanEntry]
    warning: str | None = None
    """Why other replicas may know of others."""


class BanLifted(ApiAnswer):
    """A ban has ended."""

    lifted: bool
    warning: str | None = None
