"""The numbers of places that have quotas, wherever those who share them keep them."""

from __future__ import annotations

from typing import Protocol

from s3sftp.backends import Amount
from s3sftp.fs.quota.quotas import Counts, Tally


class QuotaCounters(Protocol):
    """Keeps the numbers of each place for everybody who stores there.

    `place` is a text that stands for the place. What a process has added to `held`, `admitted`, `leaving` and
    `moving` is forgotten when the process ends: its uploads have ended with it.
    """

    async def add(self, place: str, more: Counts) -> Tally:
        """Add to the numbers of a place, and return them afterwards.

        Of two that add at the same time at least one sees what the other has added, so both may be refused
        what only one of them exceeds, but never both admitted. Whoever is refused tries again (`holds`).
        """

    async def set_stored(self, place: str, stored: Amount, at: Tally, counted_at: float) -> None:
        """Note what was stored when the numbers were those of `at`. What was added and removed since counts
        on top. `counted_at`: seconds since the epoch."""
