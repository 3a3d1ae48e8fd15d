"""Hours of the week in which a user may log in, such as `Mon-Fri 07:00-19:00 Europe/Berlin`. Pure.

Times are those of a clock on the wall in that zone, so an hour that daylight saving time repeats counts
twice, and one that it skips not at all. A span over midnight belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z, -]*?)\s+)?"
    r"(?P<start>\d\d:\d\d)\s*-\s*(?P<end>\d\d:\d\d)"
    r"(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]{0,63}))?"
)
_EXAMPLE = "'Mon-Fri 07:00-19:00 Europe/Berlin'"
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """One span of time on some days of the week."""

    days: tuple[int, ...]
    """0 is Monday."""
    start: int
    """Minutes from midnight; the first that is allowed."""
    end: int
    """Minutes from midnight; the first that is not allowed any more. Before `start`: on the next day."""
    zone: str

    def __post_init__(self) -> None:
        """Raises ValueError: if this machine does not know the zone."""
        _zone(self.zone)

    @classmethod
    def parse(cls, text: str) -> WeeklyHours:
        """Parse `[DAYS] HH:MM-HH:MM [ZONE]`; every day and UTC if they are left out.

        Raises ValueError: if the text has another form.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text[:60]!r} should be like {_EXAMPLE}")
        days = _days(match["days"]) if match["days"] else tuple(range(7))
        start, end = _minutes(match["start"]), _minutes(match["end"])
        if start in (_DAY_MINUTES, end):
            raise ValueError(f"{text!r} is no span of time; the whole day is '00:00-24:00'")
        return cls(days, start, end, match["zone"] or "UTC")

    def __str__(self) -> str:
        """The hours as `parse` takes them, with all days by name."""
        days = ",".join(_DAYS[day].capitalize() for day in self.days)
        return f"{days} {_clock(self.start)}-{_clock(self.end)} {self.zone}"

    def include(self, now: datetime) -> bool:
        """Whether an aware time is among these hours."""
        local = now.astimezone(_zone(self.zone))
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = (today - 1) % 7
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


def _days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        start = _day(first)
        count = (_day(last) - start) % 7 if dash else 0
        found |= {(start + step) % 7 for step in range(count + 1)}
    return tuple(sorted(found))


def _day(text: str) -> int:
    try:
        return _DAYS.index(text.lower())
    except ValueError:
        raise ValueError(f"{text[:40]!r} should be a day: Mon, Tue, Wed, Thu, Fri, Sat or Sun") from None


def _minutes(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > _DAY_MINUTES:
        raise ValueError(f"{text!r} should be a time from 00:00 to 24:00")
    return hour * 60 + minute


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@cache
def _zone(name: str) -> ZoneInfo:
    """Raises ValueError: if there is no such zone, or this machine has no zones."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a directory is an OSError
        pass
    if not available_timezones():
        raise ValueError(
            f"the time zone {name!r} cannot be looked up, because this machine has no time zones:"
            " install tzdata, the package of the system or of Python"
        )
    raise ValueError(f"{name!r} should be a time zone, such as 'Europe/Berlin' or 'UTC'")
