"""Adds up the points of sources over all replicas, for an attacker who spreads guesses over them.

    offence ──► points of this server ── every interval ──► ADD to the source's item ──► total ──► a ban?

An item counts for one window of time, and the next window has another: so a source may collect up to twice
the points before a ban, instead of as many times as there are replicas. A write that fails is not repeated:
the points still count on this server. Points that could not be written in their window are dropped, so that
an outage does not add up what was spread over hours.
"""

from __future__ import annotations

from s3sftp.auth import Defender
from s3sftp.shared_state.table import SharedTable

SCORES = "scores"
"""The partition key of all scores."""
_MAX_WRITES = 20
"""Maximum number of sources whose points are written each time: those that have waited longest."""
_MAX_SOURCES = 1000
"""Maximum number of sources that wait."""


class SharedScores:
    """The points of sources since they were written to the table last."""

    def __init__(self, table: SharedTable, window_seconds: float) -> None:
        self._table = table
        self._window_seconds = max(window_seconds, 1.0)
        self._window = 0
        self._points: dict[str, int] = {}
        """What is to be added in the present window, the source that has waited longest first."""

    def add(self, source: str, points: int, now: float) -> None:
        """Count points of a source; further sources than can be remembered count on this server alone. `now`
        is in seconds since 1970."""
        waiting = self._waiting(now)
        if source in waiting or len(waiting) < _MAX_SOURCES:
            waiting[source] = waiting.get(source, 0) + points

    async def exchange(self, defender: Defender, now: float) -> None:
        """Add the points to those of the other replicas, and ban whoever has enough. `now` is in seconds
        since 1970.

        Raises SourceFailed: if the table does not answer.
        """
        waiting = self._waiting(now)
        for source in list(waiting)[:_MAX_WRITES]:
            points = waiting.pop(source)
            expires = int(now + 2 * self._window_seconds)
            item = await self._table.update(
                SCORES, self._key(source, now), {"expires": expires}, {"points": points}
            )
            defender.reached(source, int((item or {}).get("points", 0)))

    async def forget(self, source: str, now: float) -> None:
        """Begin anew with a source that has been banned, or whose ban has been lifted.

        Raises SourceFailed: if the table does not answer.
        """
        self._waiting(now).pop(source, None)
        expires = int(now + 2 * self._window_seconds)
        await self._table.update(SCORES, self._key(source, now), {"expires": expires, "points": 0})

    def _waiting(self, now: float) -> dict[str, int]:
        """The points of the present window; those of an earlier one are dropped."""
        if (window := self._number(now)) != self._window:
            self._window, self._points = window, {}
        return self._points

    def _key(self, source: str, now: float) -> str:
        return f"{source}#{self._number(now)}"

    def _number(self, now: float) -> int:
        return int(now // self._window_seconds)
