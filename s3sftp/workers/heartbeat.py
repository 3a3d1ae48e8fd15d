"""Decides when a worker counts as hung. Pure: values in, decision out; `watchdog.py` does the waiting.

    ping ─────► missed 1 ──────► 2 ──────► … ──────► last but one ──────► last
                gets no new                          dumps its tasks      killed
                connections

Each arrow is one interval; an answer at any time resets the count. The count is of beats that found the
answer missing, not of time: while the machine or the supervisor is suspended there are no beats, and only one
follows, so that no worker is blamed for the pause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

_LONGEST_INTERVAL = 5.0
"""Upper bound of the interval, in seconds: a hung worker soon gets no more connections, however long its
timeout is. A loop that is late by more than that does not need new connections either."""
_FEWEST_MISSES = 4
"""Keeps the steps apart, and ensures that a pause, which causes one miss, never kills a worker by itself."""


class HeartbeatAction(Enum):
    """What to do about a worker now."""

    LEAVE_OUT = auto()
    """Give the worker no connections until it answers."""
    DUMP_TASKS = auto()
    """Have the worker dump its tasks: the last that can be learned of it."""
    KILL = auto()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The state of a worker's answers."""

    asked: bool = False
    """A ping is unanswered. No further ping is sent until the answer arrives, so that pings do not pile up.
    """
    missed: int = 0
    """Consecutive beats at which the answer was missing."""

    def beat(self) -> Heartbeat:
        """The state after another interval."""
        return Heartbeat(asked=True, missed=self.missed + 1 if self.asked else 0)


@dataclass(frozen=True, slots=True)
class HeartbeatPolicy:
    """How often a worker is pinged, and how many beats it may miss."""

    interval_seconds: float
    misses: int

    @classmethod
    def of(cls, limit_seconds: float) -> HeartbeatPolicy | None:
        """The policy that kills a worker after `limit_seconds` without an answer; None if that is 0: no
        pings."""
        if limit_seconds == 0:
            return None
        misses = max(_FEWEST_MISSES, math.ceil(limit_seconds / _LONGEST_INTERVAL))
        return cls(limit_seconds / misses, misses)

    def step(self, heartbeat: Heartbeat) -> HeartbeatAction | None:
        """The action that the latest beat calls for, if any; each action is returned once."""
        return {
            1: HeartbeatAction.LEAVE_OUT,
            self.misses - 1: HeartbeatAction.DUMP_TASKS,
            self.misses: HeartbeatAction.KILL,
        }.get(heartbeat.missed)

    def silent_seconds(self, heartbeat: Heartbeat) -> float:
        """How long the worker has not answered, in seconds."""
        return round(heartbeat.missed * self.interval_seconds, 1)
