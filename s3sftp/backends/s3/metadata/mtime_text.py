"""Reads and writes modification times in object metadata, in the formats of several programs. Pure.

    mtime          rclone, s3fs, GeeseFS     1700000000.123456789   seconds; others: ms, µs or ns
    s3cmd-attrs    s3cmd                     …/mode:33188/mtime:1700000000/uid:1000
    mc-attrs       the MinIO client          …/mode:33188/mtime:1700000000#123456789
    file-mtime     DataSync, FSx, s5cmd      1700000000123456789ns, or without the unit

Anyone who may write an object may write anything there. A text that is no time, or a time that SFTP cannot
express, counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from s3sftp.backends.s3.options import MTIME_METADATA

EARLIEST: Final = -(1 << 31)
"""Covers times before 1970, as old file systems have them; SFTP shows 1970."""
LATEST: Final = (1 << 32) - 1
"""The largest time that fits SFTP's 32 bits."""

_UNITS: Final = (1, 10**3, 10**6, 10**9)
_NUMBER: Final = re.compile(r"(-?[0-9]{1,20}(?:\.[0-9]{1,20})?)(?:#([0-9]{1,9}))?(ns)?")
_LISTED: Final = re.compile(r"(?:^|/)mtime:([^/]{0,50})")
_PLAIN: Final = (MTIME_METADATA, "file-mtime")
_LISTS: Final = ("s3cmd-attrs", "mc-attrs")


def mtime_text(mtime: float) -> str:
    """Format seconds since the epoch as rclone does: decimal, without an exponent."""
    text = f"{mtime:.9f}".rstrip("0").rstrip(".")
    return text or "0"


def mtime_of(metadata: Mapping[str, str]) -> float | None:
    """Return the modification time in an object's metadata, in seconds; None if no valid one is there."""
    texts = [metadata.get(name, "") for name in _PLAIN]
    for name in _LISTS:
        found = _LISTED.search(metadata.get(name, ""))
        texts.append(found[1] if found else "")
    return next((seconds for text in texts if (seconds := _seconds(text)) is not None), None)


def _seconds(text: str) -> float | None:
    found = _NUMBER.fullmatch(text.strip()) if len(text) < 64 else None
    if found is None:
        return None
    number, nanoseconds, unit = float(found[1]), found[2], found[3]
    if nanoseconds is not None:
        number += int(nanoseconds) / 10**9
    for divisor in _UNITS[-1:] if unit else _UNITS:  # without a unit, only one unit gives a plausible time
        if EARLIEST <= number / divisor <= LATEST:
            return number / divisor
    return None
