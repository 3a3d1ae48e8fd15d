"""Reads days of the week, times of day and time zones as operators write them."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60


def days_of_week(text: str) -> tuple[int, ...]:
    """The days of `Mon-Fri` or `Mon, Wed`; 0 is Monday. Raises ValueError: if one is no day."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        start = _day(first)
        count = (_day(last) - start) % 7 if dash else 0
        found |= {(start + step) % 7 for step in range(count + 1)}
    return tuple(sorted(found))


def _day(text: str) -> int:
    try:
        return DAYS.index(text.lower())
    except ValueError:
        raise ValueError(f"{text[:40]!r} should be a day: Mon, Tue, Wed, Thu, Fri, Sat or Sun") from None


def minute_of_day(text: str) -> int:
    """The minutes from midnight of `HH:MM`, two digits each. Raises ValueError: if it is later than 24:00."""
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > DAY_MINUTES:
        raise ValueError(f"{text!r} should be a time from 00:00 to 24:00")
    return hour * 60 + minute


def clock_text(minutes: int) -> str:
    """What `minute_of_day` reads."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises ValueError: if there is none, or this machine has no zones."""
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
