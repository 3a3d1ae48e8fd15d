"""Exponential backoff: how long to wait before the next attempt. Pure; callers add jitter and sleep."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DOUBLINGS = 60
"""More would leave the range of a float; every `longest` is reached before."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double with each failure in a row, from `first` up to `longest` seconds."""

    first: float
    longest: float

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row, counted from 1."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
