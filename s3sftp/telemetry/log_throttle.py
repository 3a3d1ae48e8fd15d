"""Throttles log events that an attacker could cause by the thousand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class LogThrottle:
    """Decides which of many events of one kind are logged. Kinds are few, and never contain a client's
    text."""

    interval: float = 1.0
    """Seconds between two of them."""
    _logged_at: dict[str, float] = field(default_factory=dict)
    _suppressed: dict[str, int] = field(default_factory=dict)

    def allow(self, kind: str, now: float) -> int | None:
        """None: do not log. Otherwise the number of events of this kind that were suppressed since the last
        one."""
        last = self._logged_at.get(kind)
        if last is not None and now - last < self.interval:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._logged_at[kind] = now
        return self._suppressed.pop(kind, 0)


@dataclass(slots=True)
class BurstAllowance:
    """Allows a burst of events, and from then on one in each interval. The others are counted."""

    at_once: int
    interval: float
    suppressed: int = 0
    """Events suppressed since the last one that was logged."""
    _used: float = 0.0
    _at: float = 0.0

    def allow(self, now: float) -> int | None:
        """None: do not log. Otherwise the number of events that were suppressed since the last one."""
        self._used = max(0.0, self._used - (now - self._at) / self.interval)
        self._at = now
        if self._used > self.at_once - 1:
            self.suppressed += 1
            return None
        self._used += 1
        suppressed, self.suppressed = self.suppressed, 0
        return suppressed
