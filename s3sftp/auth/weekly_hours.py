"""Hours of the week in which a user may log in, such as `Mon-Fri 07:00-19:00 Europe/Berlin`. Pure.

Times are those of a clock on the wall in that zone, so an hour that daylight saving time repeats counts
twice, and one that it skips not at all. A span over midnight belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from s3sftp.config.week_times import DAY_MINUTES, DAYS, clock_text, days_of_week, minute_of_day, time_zone

_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z, -]*?)\s+)?"
    r"(?P<start>\d\d:\d\d)\s*-\s*(?P<end>\d\d:\d\d)"
    r"(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]{0,63}))?"
)
_EXAMPLE = "'Mon-Fri 07:00-19:00 Europe/Berlin'"


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
        time_zone(self.zone)

    @classmethod
    def parse(cls, text: str) -> WeeklyHours:
        """Parse `[DAYS] HH:MM-HH:MM [ZONE]`; every day and UTC if they are left out.

        Raises ValueError: if the text has another form.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text[:60]!r} should be like {_EXAMPLE}")
        days = days_of_week(match["days"]) if match["days"] else tuple(range(7))
        start, end = minute_of_day(match["start"]), minute_of_day(match["end"])
        if start in (DAY_MINUTES, end):
            raise ValueError(f"{text!r} is no span of time; the whole day is '00:00-24:00'")
        return cls(days, start, end, match["zone"] or "UTC")

    def __str__(self) -> str:
        """The hours as `parse` takes them, with all days by name."""
        days = ",".join(DAYS[day].capitalize() for day in self.days)
        return f"{days} {clock_text(self.start)}-{clock_text(self.end)} {self.zone}"

    def include(self, now: datetime) -> bool:
        """Whether an aware time is among these hours."""
        local = now.astimezone(time_zone(self.zone))
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = (today - 1) % 7
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)
