"""When a worker counts as hung. Pure: values in, decision out; `watchdog.py` does the waiting.

    ask ──────► missed 1 ──────► 2 ──────► … ──────► last but one ──────► last
                left out                             writes stacks        killed

Each arrow is an interval; an answer at any time takes it back to the start. What counts is beats that found
no answer, not time: while the machine or the supervisor is suspended there are none, and after it one, not
many, so that nobody is blamed for the pause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

_LONGEST_INTERVAL = 5.0
"""So that a hung worker soon gets no more connections, however long it may live. A loop that is late by more
than that does not need them either."""
_FEWEST_MISSES = 4
"""So that the steps are apart, and a pause, which makes one miss, is never all that it takes."""


class HeartbeatAction(Enum):
    """What is to be done about a worker now."""

    LEAVE_OUT = auto()
    """It gets no connections until it answers."""
    ASK_WHY = auto()
    """It is to write what it waits for: the last that can be learned of it."""
    KILL = auto()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What is known of a worker's answers."""

    asked: bool = False
    """An answer is owed. Until it has come nothing more is asked, so that asks do not pile up."""
    missed: int = 0
    """Beats in a row that found it owed."""

    def beat(self) -> Heartbeat:
        """After another interval."""
        return Heartbeat(asked=True, missed=self.missed + 1 if self.asked else 0)


@dataclass(frozen=True, slots=True)
class HeartbeatPolicy:
    """How often a worker is asked, and how many beats it may miss."""

    interval_seconds: float
    misses: int

    @classmethod
    def of(cls, limit_seconds: float) -> HeartbeatPolicy | None:
        """That which ends after so many seconds; 0: none, as nobody is asked."""
        if limit_seconds == 0:
            return None
        misses = max(_FEWEST_MISSES, math.ceil(limit_seconds / _LONGEST_INTERVAL))
        return cls(limit_seconds / misses, misses)

    def step(self, pulse: Heartbeat) -> HeartbeatAction | None:
        """What the latest beat calls for; each step once."""
        return {
            1: HeartbeatAction.LEAVE_OUT,
            self.misses - 1: HeartbeatAction.ASK_WHY,
            self.misses: HeartbeatAction.KILL,
        }.get(pulse.missed)

    def silent_seconds(self, pulse: Heartbeat) -> float:
        """How long it has not answered."""
        return round(pulse.missed * self.interval_seconds, 1)
