"""Options of the `[events.expect.NAME]` tables."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from s3sftp.config import ByteSize, Options
from s3sftp.config.name_patterns import pattern_problem
from s3sftp.config.week_times import days_of_week, minute_of_day, time_zone
from s3sftp.events.expect.dated_path import DatedPath

_BY = re.compile(r"(\d\d:\d\d)(?:\s+([A-Za-z][A-Za-z0-9_+/-]{0,63}))?")


class ExpectOptions(Options):
    """A file that has to arrive by a time. If it does not, the event `file.missing` says so."""

    user: str
    """The user whose directory it has to be in, or a pattern such as `partner-*`: then a file of each of
    these users is expected. They have to be in the configuration."""
    path: str
    """The path as the user sees it, with a date: `{date}` is 2026-11-27, `{date:%Y%m%d}` has another form,
    `{date-1}` is the day before. The last name may have `*`, `?` and `[…]`."""
    by: str
    """When it has to be there: a time of day and a time zone, such as `18:00 Europe/Berlin`. Default of the
    zone: UTC. An hour that daylight saving time skips or repeats counts to the benefit of the partner."""
    days: str = "Mon-Sun"
    """The days of the week on which it is expected, such as `Mon-Fri` or `Mon, Wed`."""
    min_bytes: ByteSize = Field(default=0, ge=0)
    """A smaller file does not count."""

    @field_validator("user")
    @classmethod
    def _user_is_one(cls, value: str) -> str:
        if pattern_problem(value) is not None:
            raise ValueError("should be the name of a user, or a pattern such as 'partner-*'")
        return value

    @field_validator("path")
    @classmethod
    def _path_has_a_date(cls, value: str) -> str:
        return DatedPath(value).text

    @field_validator("by")
    @classmethod
    def _by_is_a_time(cls, value: str) -> str:
        due_time(value)
        return value

    @field_validator("days")
    @classmethod
    def _days_are_days(cls, value: str) -> str:
        days_of_week(value)
        return value


def due_time(text: str) -> tuple[int, str]:
    """The minutes from midnight, and the name of the zone, of `HH:MM [ZONE]`.

    Raises ValueError: if the text has another form, or this machine does not know the zone.
    """
    found = _BY.fullmatch(text.strip())
    if found is None:
        raise ValueError("should be a time of day and a time zone, like '18:00 Europe/Berlin'")
    zone = found[2] or "UTC"
    time_zone(zone)
    return minute_of_day(found[1]), zone
