"""Limits how many wrong passwords are tried for one user name from many sources. Pure: no clock, no socket.

    a wrong password for a name ──► counted for `window_seconds`
    `failures` of them ──► only sources that have logged in with that name may try a password for it

Attempts after a proven factor are counted apart: whoever has none cannot make the server refuse the password
or the code that follows a right key.

Names that no user has are counted like others, so the limit does not reveal which exist. `now` is any
monotonic clock, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque


class UserThrottle:
    """The wrong passwords of each name, and the sources that have logged in with it.

    Remembers at most `max_entries` names, and as many pairs of a name and a source that has logged in; those
    that have been quiet longest are forgotten first. Attempts that are refused because of the limit are not
    counted, so about `failures` passwords for a name are tried in each window, however long the attack lasts.
    """

    def __init__(self, failures: int, window_seconds: float, max_entries: int) -> None:
        """`failures` = 0: there is no limit."""
        self._failures = failures
        self._window_seconds = window_seconds
        self._max_entries = max_entries
        self._failed: OrderedDict[tuple[str, bool], deque[float]] = OrderedDict()
        """By the name, and whether a factor was proven before."""
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __len__(self) -> int:
        """Number of entries of the longer list."""
        return max(len(self._failed), len(self._known))

    def allows(self, name: str, source: str, now: float, has_proven: bool = False) -> bool:
        """Whether a password for the name may be tried from the source. `has_proven`: after another
        factor."""
        if (name, source) in self._known:
            return True
        failed = self._failed.get((name, has_proven))
        if failed is None:
            return True
        self._failed.move_to_end((name, has_proven))
        self._forget(failed, now)
        if not failed:
            del self._failed[name, has_proven]
        return len(failed) < self._failures

    def failed(self, name: str, source: str, now: float, has_proven: bool = False) -> None:
        """Count a wrong password. One from a source that has logged in with the name is its owner's mistake,
        and does not count."""
        if self._failures == 0 or (name, source) in self._known:
            return
        failed = self._failed.setdefault((name, has_proven), deque())
        self._failed.move_to_end((name, has_proven))
        self._forget(failed, now)
        if len(failed) < self._failures:  # others have not been tried, or were under way already
            failed.append(now)
        self._forget_names(now)

    def logged_in(self, name: str, source: str) -> None:
        """Record that somebody has logged in with the name from the source."""
        if self._failures == 0:
            return
        self._known[name, source] = None
        self._known.move_to_end((name, source))
        if len(self._known) > self._max_entries:
            self._known.popitem(last=False)

    def _forget_names(self, now: float) -> None:
        """Forget the quietest names: those without a wrong password in the window, and those beyond the
        maximum."""
        while self._failed:
            quietest, failed = next(iter(self._failed.items()))
            if len(self._failed) <= self._max_entries and failed[-1] > now - self._window_seconds:
                return
            del self._failed[quietest]

    def _forget(self, failed: deque[float], now: float) -> None:
        while failed and failed[0] <= now - self._window_seconds:
            failed.popleft()
