"""Values as people read them, in the form that the console has. Units are decimal, as in the log."""

from __future__ import annotations


def readable_bytes(count: float) -> str:
    """A number of bytes in three digits, such as `48.2 kB`."""
    power = 0
    while count >= 999.5 and power < 5:
        count /= 1000
        power += 1
    if power == 0:
        return f"{count:.0f} B"
    digits = 2 if count < 9.995 else 1 if count < 99.95 else 0
    return f"{count:.{digits}f} {' kMGTP'[power]}B"


def readable_seconds(seconds: float) -> str:
    """A duration in its two largest units, such as `2 min 5 s`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    large, large_name, small, small_name = (
        (60, "min", 1, "s")
        if whole < 3600
        else (3600, "h", 60, "min")
        if whole < 86400
        else (86400, "d", 3600, "h")
    )
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def readable_dollars(amount: float) -> str:
    """An estimate, with as many digits as it takes to be more than zero."""
    if amount == 0:
        return "$0"
    if amount < 0.000001:
        return "under $0.000001"
    return f"${amount:.{2 if amount >= 1 else 4 if amount >= 0.01 else 6}f}"
