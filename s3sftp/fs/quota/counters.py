"""The numbers of places that have quotas, wherever those who share them keep them."""

from __future__ import annotations

from typing import ClassVar, Protocol

from s3sftp.backends import Amount
from s3sftp.fs.quota.quotas import Counts, Quota, Taken, Tally


class QuotaCounters(Protocol):
    """Keeps the numbers of each place for everybody who stores there.

    `place` is a text that stands for the place (`CountedPlace.name`). What a process has added to `held`,
    `admitted`, `leaving` and `moving` is forgotten when the process ends: its uploads have ended with it.
    No method fails but `take`: if nobody knows the numbers of others, the process goes on with those that it
    knows.
    """

    waits: ClassVar[bool] = True
    """Whether `take` may wait for others. If not, it is done before anything else happens."""

    async def tally(self, place: str) -> Tally:
        """The numbers of a place as this process knows them, at no cost once it knows any."""

    async def look(self, place: str) -> Tally:
        """The numbers of a place as they are at this moment, for whoever wants to see them."""

    async def take(self, place: str, more: Amount, grows: Amount, quota: Quota) -> Taken:
        """Hold more, unless a quota is exceeded by that. `grows` is what is to be checked, part of what is
        held then. Whatever a process changes at a place, it takes before, even if that is nothing.

        Nothing is refused before somebody has counted. Of two that take at the same time both may be refused
        what only one of them exceeds, but never both admitted. Whoever is refused tries again (`holds`).

        Raises Busy: if others change the numbers so often that nobody can tell whether it fits.
        """

    def book(self, place: str, more: Counts) -> None:
        """Add what needs no more room than is held."""

    async def settle(self, place: str) -> bool:
        """Have everybody give back what is not needed, and tell what has been removed. Returns whether
        anybody was there who could."""

    async def count_begins(self, place: str, known: Tally | None) -> Tally | None:
        """The numbers from which a count starts. None: somebody else has counted since `known`, a moment
        ago. `known`: None: it does not matter whether others have counted."""

    async def count_ends(self, place: str) -> Tally:
        """The numbers when a listing has ended."""

    async def set_stored(
        self, place: str, stored: Amount, at: Tally, counted_at: float, vague: int = 0
    ) -> None:
        """Note what was stored when the numbers were those of `at`. What was added and removed since counts
        on top. `counted_at`: seconds since the epoch. `vague`: the next `Tally.vague`."""

    async def count_is_over(self, place: str) -> None:
        """Let somebody else count, if this one has failed."""
