"""Decides when and from where a user may log in, whatever the credentials. Pure: no clock.

A client is refused as for a wrong password, whatever the rule; the log has the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from s3sftp.auth.address_patterns import AllowedSources
from s3sftp.auth.weekly_hours import WeeklyHours
from s3sftp.config.types import TEXT_OR_LIST

DISABLED = "the user is disabled"
EXPIRED = "the user has expired"
ELSEWHERE = "the user may not log in from this address"
NOT_NOW = "the user may not log in at this hour"
OPTION_OF = {DISABLED: "disabled", EXPIRED: "expires", ELSEWHERE: "networks", NOT_NOW: "hours"}
"""The option of the user that each refusal comes from."""


@dataclass(frozen=True, slots=True)
class LoginRules:
    """When and from where a user may log in. By default always and from everywhere."""

    disabled: bool = False
    expires: datetime | None = None
    """An aware time; from then on the user cannot log in."""
    networks: AllowedSources | None = None
    hours: tuple[WeeklyHours, ...] = ()
    """None: at any time."""

    def __post_init__(self) -> None:
        """Raises ValueError: if `expires` has no zone."""
        if self.expires is not None and self.expires.tzinfo is None:
            raise ValueError("expires should be an aware time")

    def refusal(self, address: str, now: datetime) -> str | None:
        """Why a login from this address is refused at this time, for the log; None if it is not."""
        if (ended := self.end(now)) is not None:
            return ended
        if self.networks is not None and not self.networks.allow(address):
            return ELSEWHERE
        if self.hours and not any(hours.include(now) for hours in self.hours):
            return NOT_NOW
        return None

    def end(self, now: datetime) -> str | None:
        """Why the user's sessions must end as well; None if they may go on."""
        if self.disabled:
            return DISABLED
        if self.expires is not None and now >= self.expires:
            return EXPIRED
        return None


NO_RULES = LoginRules()


def _networks(value: object) -> object:
    patterns = ",".join(value) if isinstance(value, list | tuple) and all(map(_is_text, value)) else value
    if isinstance(patterns, str):
        parts = [part.strip() for part in patterns.split(",")]
        if all(part.startswith("!") for part in parts):
            raise ValueError("should have a pattern without '!': otherwise no address is allowed")
        return ",".join(parts)
    return patterns


def _is_text(value: object) -> bool:
    return isinstance(value, str)


Networks = Annotated[
    AllowedSources,
    BeforeValidator(_networks),
    TEXT_OR_LIST,
]
"""Patterns for addresses, as a list or as a text with commas."""


def _expiry(value: object) -> object:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("should say in which zone this time is, such as 2027-01-31T18:00:00Z")
        return value.astimezone(UTC)
    if isinstance(value, date):
        try:
            return datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=1)
        except OverflowError:
            pass
    raise ValueError("should be a date such as 2027-01-31, or a time with its zone: 2027-01-31T18:00:00Z")


Expiry = Annotated[
    datetime,
    BeforeValidator(_expiry),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{4}-?([0-9]{2}|W)"}),
]
"""A time, or a date, which ends with that day in UTC."""
