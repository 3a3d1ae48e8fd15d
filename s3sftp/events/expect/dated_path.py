"""Paths that contain a date, such as `/in/orders-{date}.csv`. Pure.

    {date}                   2026-11-27
    {date:%Y%m%d}            20261127: codes of strftime for parts of a date
    {date-1:%d.%m.%Y}        26.11.2026: so many days before

The last name may contain `*`, `?` and `[…]`, as all patterns of names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from s3sftp.config.name_patterns import compiled_pattern, matches_path, pattern_problem

_DATE = re.compile(r"\{date(?:-(?P<back>\d{1,3}))?(?::(?P<form>[^{}]*))?\}")
_CODES = re.compile(r"%([YymdjGVu])")
_ISO = "%Y-%m-%d"
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class DatedPath:
    """A path for each day."""

    text: str

    def __post_init__(self) -> None:
        """Raises ValueError: if the text is no such path."""
        if not self.text.startswith("/") or "//" in self.text or self.text.endswith("/") or "\0" in self.text:
            raise ValueError("should be the whole path of a file, such as '/in/orders-{date}.csv'")
        found = list(_DATE.finditer(self.text))
        if not found:
            raise ValueError(
                "should contain {date}, such as '/in/orders-{date:%Y%m%d}.csv': a path that is the same every"
                " day does not tell today's file from yesterday's"
            )
        for each in found:
            _check_form(each["form"])
        rest = _DATE.sub("", self.text)
        if "{" in rest or "}" in rest:
            raise ValueError("should have no braces but {date}, {date:FORM} and {date-DAYS:FORM}")
        if any(name in (".", "..") for name in self.text.split("/")):
            raise ValueError("should have no '.' and no '..'")
        directory, _, name = rest.rpartition("/")
        if _WILD.search(directory):
            raise ValueError("may have '*', '?' and '[' in the last name alone")
        if (problem := pattern_problem(name or "x")) is not None:
            raise ValueError(problem)

    @property
    def is_pattern(self) -> bool:
        """Whether the last name has wildcards."""
        return _WILD.search(_DATE.sub("", self.text)) is not None

    def on(self, day: date) -> str:
        """The path, or the pattern of it, for a day."""
        return _DATE.sub(lambda found: _date_text(found, day), self.text)

    def may_match(self, path: str) -> bool:
        """Whether a path could be that of some day: quick, for every upload."""
        return matches_path(_DATE.sub("*", self.text), path)

    def matches(self, path: str, day: date) -> bool:
        """Whether a path is that of the day."""
        directory, _, pattern = self.on(day).rpartition("/")
        above, _, name = path.rpartition("/")
        return above.casefold() == directory.casefold() and compiled_pattern(pattern).match(name) is not None


def _date_text(found: re.Match[str], day: date) -> str:
    try:
        return (day - timedelta(days=int(found["back"] or 0))).strftime(found["form"] or _ISO)
    except OverflowError:
        return "-"


def _check_form(form: str | None) -> None:
    """Raises ValueError: if a form is no date."""
    if form is None:
        return
    rest = _CODES.sub("", form)
    if "%" in rest or not _CODES.search(form) or "/" in form:
        raise ValueError(
            f"{{date:{form[:40]}}} should have codes of strftime for a date: %Y, %y, %m, %d, %j, %G, %V, %u"
        )
