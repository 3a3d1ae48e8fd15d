"""What users have moved and caused today."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer


class UserCost(ApiAnswer):
    """What a user has moved and caused since midnight UTC; `other`: users beyond the bound, together."""

    user: str
    s3_requests: NonNegativeInt
    s3_dollars: NonNegativeFloat
    bytes_in: NonNegativeInt
    bytes_out: NonNegativeInt
    files_in: NonNegativeInt
    files_out: NonNegativeInt


class CostList(ApiAnswer):
    """The most expensive first."""

    day: str
    """The day in UTC, such as 2027-01-31."""
    items: list[UserCost]
    not_answered: list[int] = Field(default=[])
