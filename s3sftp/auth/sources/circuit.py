"""Decides when a source of users counts as down, and when as up again. Pure: no clock, no socket."""

from __future__ import annotations


class Circuit:
    """Counts failures in a row. While it is open, users' logins do not reach the source."""

    def __init__(self, max_failures: int) -> None:
        self._max_failures = max_failures
        self._failures = 0
        self.is_open = False

    @property
    def is_suspect(self) -> bool:
        """Whether so many failures in a row have come that the source should be probed."""
        return self._failures >= self._max_failures

    def failed(self) -> None:
        """Record that no answer came. It may be for one user alone, so this does not open the circuit."""
        self._failures += 1

    def confirmed(self) -> bool:
        """Record that the probe of a suspect had no answer either. Returns whether this opens the circuit."""
        was_open, self.is_open = self.is_open, self.is_suspect
        return self.is_open and not was_open

    def answered(self) -> bool:
        """Record an answer, whatever it says. Returns whether this closes the circuit."""
        was_open, self.is_open, self._failures = self.is_open, False, 0
        return was_open
