"""What has happened over the last hour."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer, ApiInput


class Series(ApiAnswer):
    """What has happened, every 5 seconds: lists of one length."""

    at: list[datetime]
    """The end of each interval."""
    bytes_in: list[NonNegativeInt]
    bytes_out: list[NonNegativeInt]
    s3_requests: list[NonNegativeInt]
    sessions: list[NonNegativeInt]
    """At the end of the interval."""
    failures: list[NonNegativeInt]
    """Transfers that failed."""


class SeriesQuery(ApiInput):
    """How far back."""

    minutes: Annotated[int, Field(ge=1, le=60)] = 15
