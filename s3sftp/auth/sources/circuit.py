"""Decides when a source of users counts as down, and when as up again. Pure: no clock, no socket."""

from __future__ import annotations


class Circuit:
    """Counts failures in a row. While it is open, users' logins do not reach the source."""

    def __init__(self, max_failures: int) -> None:
        self._max_failures = max_failures
        self._failures = 0
        self.is_open = False

    def failed(self) -> bool:
        """Record that no answer came. Returns whether this opens the circuit."""
        self._failures += 1
        if self.is_open or self._failures < self._max_failures:
            return False
        self.is_open = True
        return True

    def answered(self) -> bool:
        """Record an answer, whatever it says. Returns whether this closes the circuit."""
        was_open, self.is_open, self._failures = self.is_open, False, 0
        return was_open
