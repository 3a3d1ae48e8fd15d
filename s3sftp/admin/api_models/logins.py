"""Logins that did not succeed."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from s3sftp.admin.api_models.common import ApiAnswer


class FailedLogin(ApiAnswer):
    """A login that did not succeed."""

    time: datetime
    user: str
    peer: str
    method: str
    reason: str


class FailedLoginList(ApiAnswer):
    """The latest first."""

    items: list[FailedLogin]
    not_answered: list[int] = Field(default=[])
