"""Decides which files are due, and what it means if one is not there. Pure: no clock, no storage.

A rule is due on a day at one moment. Its file is missing only if it has not been seen until then, and is not
stored either.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from s3sftp.config.name_patterns import compiled_pattern
from s3sftp.config.week_times import days_of_week, time_zone
from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.expect.dated_path import DatedPath
from s3sftp.events.expect.options import ExpectOptions, due_time

_EARLY_DAYS = 8
"""How many days before it is due a file may arrive."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ExpectRule:
    """A rule in the form that decisions need."""

    name: str
    user: str
    path: DatedPath
    minute: int
    """When it is due, in minutes from midnight."""
    zone: str
    days: frozenset[int]
    """0 is Monday."""
    min_bytes: int

    @classmethod
    def of(cls, name: str, options: ExpectOptions) -> ExpectRule:
        minute, zone = due_time(options.by)
        days = frozenset(days_of_week(options.days))
        return cls(name, options.user, DatedPath(options.path), minute, zone, days, options.min_bytes)

    def is_of(self, user: str) -> bool:
        """Whether the rule expects a file of this user."""
        if not any(each in self.user for each in "*?["):
            return self.user == user
        return compiled_pattern(self.user).match(user) is not None

    def due_at(self, day: date) -> datetime:
        """When the file of a day is due. A time that the clocks show twice is the second one; one that they
        skip is as long after midnight as it would be on another day."""
        midnight = datetime(day.year, day.month, day.day)
        local = (midnight + timedelta(minutes=self.minute)).replace(tzinfo=time_zone(self.zone))
        return max(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))

    def due_days(self, after: datetime, until: datetime) -> Iterator[date]:
        """The days whose files become due after one moment and not after another."""
        day = after.date() - 2 * _DAY  # no zone is further from UTC, and 24:00 is on the next day
        while day <= until.date() + 2 * _DAY:
            if day.weekday() in self.days and after < self.due_at(day) <= until:
                yield day
            day += _DAY

    def next_due(self, after: datetime) -> datetime:
        """The next moment at which a file becomes due."""
        return min(self.due_at(day) for day in self.due_days(after, after + 9 * _DAY))


@dataclass(frozen=True, slots=True, order=True)
class ExpectedFile:
    """One file that is expected: of a rule, a user and a day."""

    rule: str
    day: date
    user: str

    @property
    def text(self) -> str:
        """A text that is different for each."""
        return f"{self.rule}/{self.day.isoformat()}/{self.user}"


def files_met(
    rules: Iterable[ExpectRule], user: str, path: str, size: int | None, now: datetime
) -> list[ExpectedFile]:
    """What a file that has just been stored fulfils. `size` in bytes; None if it is not known: what came must
    not be announced as missing, so only a size that is known can be too small."""
    found = []
    for rule in rules:
        if not (rule.is_of(user) and rule.path.may_match(path)):
            continue
        if size is not None and size < rule.min_bytes:
            continue
        found += [
            ExpectedFile(rule.name, day, user)
            for day in rule.due_days(now - _EARLY_DAYS * _DAY, now + _EARLY_DAYS * _DAY)
            if rule.path.matches(path, day)
        ]
    return found


def missing_event(
    rule: ExpectRule, file: ExpectedFile, source: str, found_bytes: int | None, now: float
) -> CloudEvent:
    """The event for a file that has not arrived. It has the same id whoever announces it, and however often.
    `found_bytes`: the size of a file that is there but too small."""
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"s3sftp:expect:{file.text}")
    path = rule.path.on(file.day)
    data = {
        "user": file.user,
        "path": path,
        "rule": rule.name,
        "day": file.day.isoformat(),
        "due": rule.due_at(file.day).isoformat().replace("+00:00", "Z"),
        "reason": "absent" if found_bytes is None else "too_small",
        "min_bytes": rule.min_bytes,
        "found_bytes": found_bytes,
    }
    return CloudEvent(str(identifier), EventKind.FILE_MISSING, source, path, now, data)
