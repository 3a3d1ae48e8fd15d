"""Lengths of time in configuration: `30`, `"30 s"`, `"10 min"`, `"1.5 h"`."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_SECONDS = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _parse_duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    seconds = seconds_of(value)
    if seconds is None or not math.isfinite(seconds) or seconds < 0 or seconds > 10 * 365 * 86400:
        raise ValueError("should be a number of seconds, or a text like '30 s', '10 min' or '1 h'")
    return timedelta(seconds=seconds)


def seconds_of(value: object) -> float | None:
    """Seconds of a number, or of a text with a unit; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    try:
        return float(digits) * _SECONDS[unit]
    except (ValueError, KeyError):
        return None


Duration = Annotated[timedelta, BeforeValidator(_parse_duration)]
"""A length of time that is not negative: a number of seconds, or a text with a unit."""
