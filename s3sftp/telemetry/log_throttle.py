"""Throttles log events that an attacker could cause by the thousand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class LogThrottle:
    """Decides which of many events of one kind are logged. Kinds are few, and never contain a client's
    text."""

    interval: float = 1.0
    _told: dict[str, float] = field(default_factory=dict)
    _untold: dict[str, int] = field(default_factory=dict)

    def tell(self, kind: str, now: float) -> int | None:
        """None: do not log. Otherwise the number of events of this kind that were suppressed since the last
        one."""
        last = self._told.get(kind)
        if last is not None and now - last < self.interval:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return None
        self._told[kind] = now
        return self._untold.pop(kind, 0)


@dataclass(slots=True)
class BurstAllowance:
    """Allows a burst of events, and from then on one in each interval. The others are counted."""

    at_once: int
    interval: float
    untold: int = 0
    """Events suppressed since the last one that was logged."""
    _used: float = 0.0
    _at: float = 0.0

    def take(self, now: float) -> int | None:
        """None: do not log. Otherwise the number of events that were suppressed since the last one."""
        self._used = max(0.0, self._used - (now - self._at) / self.interval)
        self._at = now
        if self._used > self.at_once - 1:
            self.untold += 1
            return None
        self._used += 1
        untold, self.untold = self.untold, 0
        return untold
