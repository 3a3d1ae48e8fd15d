"""The types of options that have a unit, or that name a file.

| type | what is accepted |
|---|---|
| `Duration` | seconds as a number, `"30 s"`, `"10 min"`, `"1.5 h"`, a `timedelta`: from zero to ten years |
| `PositiveDuration` | the same without zero |
| `ByteSize` | bytes as an integer, `"8 MiB"`: units are binary, and `"8 MB"` is an error |
| `LocalPath` | a path that the file system can have |

All groups of options use these types. A type accepts the same values from a file, a variable, a flag and a
caller: `metadata_timeout = "30 s"` in TOML is `S3Options(metadata_timeout="30 s")` in Python. The error for
any other value says what would be right.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_SECONDS = {"": 1, "ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_LONGEST_SECONDS = 10 * 365 * 86400
_TOO_MANY_BYTES = 2**63
_MOST_DIGITS = 100
_BYTES = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def _parse_duration(value: object) -> timedelta:
    seconds = value.total_seconds() if isinstance(value, timedelta) else _seconds_of(value)
    if seconds is None:
        raise ValueError("should be a number of seconds, or a text like '30 s', '10 min' or '1 h'")
    if not 0 <= seconds <= _LONGEST_SECONDS:  # NaN fails this too
        raise ValueError("should be from zero to ten years")
    return value if isinstance(value, timedelta) else timedelta(seconds=seconds)


def _seconds_of(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    number, unit = _number_and_unit(value)
    try:
        return float(number) * _SECONDS[unit]
    except (ValueError, KeyError):
        return None


def _longer_than_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("should be longer than zero")
    return value


def _parse_size(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _small_enough(value)  # pydantic rejects fractions
    number, unit = _number_and_unit(value) if isinstance(value, str) else ("", "")
    if not number.isdecimal() or len(number) > _MOST_DIGITS or unit not in _BYTES:
        raise ValueError("should be a number of bytes, like 8388608 or '8 MiB'")
    return _small_enough(int(number) * _BYTES[unit])


def _small_enough(size: float) -> float:
    if size >= _TOO_MANY_BYTES:
        raise ValueError("should be less than 8 EiB")
    return size


def _number_and_unit(text: str) -> tuple[str, str]:
    """Split `8 MiB` into `8` and `mib`."""
    text = text.strip().lower()
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    return number, text[len(number) :].strip()


def _check_path(path: Path) -> Path:
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise ValueError("should be a path that the file system can have: it has no NUL and no surrogates")
    return path


_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
_DURATION_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": _LONGEST_SECONDS},
            {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*(ms|s|sec|m|min|h|d)?\s*$"},
        ]
    }
)
_SIZE_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer"},
            {"type": "string", "pattern": r"^\s*[0-9]+\s*([kKmMgGtT][iI])?[bB]?\s*$"},
        ]
    }
)

Duration = Annotated[timedelta, BeforeValidator(_parse_duration), _DURATION_SCHEMA]
"""A duration of zero or more: a number of seconds, or a text with a unit."""

# the validator produces the error message; the bound is for the chart's schema
PositiveDuration = Annotated[Duration, AfterValidator(_longer_than_zero), Field(gt=timedelta(0))]
"""A duration above zero: a number of seconds, or a text with a unit."""

_SIZE = BeforeValidator(_parse_size)
# pydantic's own ByteSize accepts decimal units, bits, and any text after the unit: "8 MiB or so", "1,000"
ByteSize = Annotated[int, _SIZE, _SIZE_SCHEMA]
"""A number of bytes: an integer, or a text with a binary unit such as `"8 MiB"`."""

LocalPath = Annotated[Path, AfterValidator(_check_path)]
"""A path on this machine that the operating system accepts."""


TEXT_OR_LIST = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
"""The JSON Schema of a list of texts that may also be written as one text."""


DIVIDED: Final = object()
"""Marks an option that bounds the whole server: each worker gets an equal share of it."""


def is_size(metadata: Iterable[object]) -> bool:
    """Whether an option with this metadata is a `ByteSize`, not a count: for code that documents options."""
    return _SIZE in metadata
