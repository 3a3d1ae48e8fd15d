"""What uploads and other changes hold of a quota until they are booked.

Whoever needs room adds to what is held, looks at the sum of everybody's, and takes back what is too much. So
however many store at once, in however many workers, the quota is never exceeded.

Two that add at the same moment see each other, and both take back although one of them fits. So whoever is
refused only because of what others hold tries once more, after a pause whose length is random.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

from s3sftp.backends import Amount, Session
from s3sftp.errors import StorageError
from s3sftp.fs.quota.counting import CountedPlace, PlaceCounter
from s3sftp.fs.quota.quotas import Counts, Quota
from s3sftp.runtime.cancellation import run_to_completion

_PAUSE_SECONDS = 0.01, 0.05
"""The shortest and the longest pause. Adding, looking and taking back takes microseconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change adds to a place and takes away from it. A move inside the place does both."""

    plus: Amount = Amount()  # noqa: RUF009  frozen
    minus: Amount = Amount()  # noqa: RUF009  frozen
    moves_directory: bool = False
    """Whether a directory is renamed inside the place."""

    @classmethod
    def by(cls, difference: Amount) -> Change:
        """The change of one file, of which a listing sees either the old version or the new one."""
        return cls(difference.above_zero, (Amount() - difference).above_zero)

    @property
    def need(self) -> Amount:
        """How much more will be stored."""
        return (self.plus - self.minus).above_zero


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A place where something does not fit."""

    place: CountedPlace
    limit: str
    """`bytes` or `files`."""
    fits_alone: bool
    """Whether it would fit if others held nothing."""


class Hold:
    """What an upload, or another change, holds at each of its places until it is booked."""

    def __init__(self, counter: PlaceCounter, quotas: Mapping[CountedPlace, Quota], session: Session) -> None:
        """`quotas`: the places, each with what the session may store there."""
        self.quotas = quotas
        self.amount = Amount()
        self._counter = counter
        self._session = session
        self._is_checked = True
        self._is_taking = False
        self._ends = False
        """Whether to end when what is under way is done."""
        self._ended = 0
        """How often it was ended."""

    async def ready(self) -> None:
        """Wait until the places are counted that have a quota of this session, and for counts of others that
        are the first and under way. Raises StorageError: if a count fails."""
        for place, quota in self.quotas.items():
            if quota:
                await self._counter.ready(place, self._session)
            else:
                await self._counter.while_first_counted(place)

    async def is_counted(self) -> bool:
        """Whether the places are counted, as by `ready`. A change that needs no room is made in any case."""
        try:
            await self.ready()
        except StorageError:
            return False
        return True

    async def set_to(self, amount: Amount) -> None:
        """Hold this much, in place of what is held so far. Where nobody has counted yet, it is checked by the
        next call.

        Raises NoSpace: if it grows, and a quota would be exceeded; what is held is then as before, or nothing
        if it was ended meanwhile.
        Raises Busy: if others change the numbers all the time; likewise.
        """
        ended = self._ended
        for is_last in (False, True):
            difference = amount - self.amount
            grows = difference.above_zero if self._is_checked else amount
            taking = self._take(amount, difference, grows)
            refused = await (run_to_completion(taking) if self._counter.counters.waits else taking)
            if refused is None:
                return
            if is_last or not await self._may_fit_now(refused) or self._ended != ended:
                raise self.quotas[refused.place].refusal(refused.limit)

    async def _may_fit_now(self, refused: _Refusal) -> bool:
        """Whether to try again: after a new count, or when those who tried at the same moment are done."""
        if await self._counter.renew(refused.place, self._session):
            return True
        if refused.fits_alone:
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311
        return refused.fits_alone

    async def _take(self, amount: Amount, difference: Amount, grows: Amount) -> _Refusal | None:
        """Hold `amount` at all places, which is so much more than before. Holds as much as before, and
        returns what refuses it, if a quota is exceeded."""
        self._is_taking = True
        try:
            refused = await self._take_everywhere(difference, grows)
            if refused is None:
                self.amount = amount
            return refused
        finally:
            self._is_taking = False
            if self._ends:
                self.end()

    async def _take_everywhere(self, difference: Amount, grows: Amount) -> _Refusal | None:
        is_checked = True
        done: list[CountedPlace] = []
        for place, quota in self.quotas.items():
            try:
                taken = await self._counter.counters.take(place.name, difference, grows, quota)
            except BaseException:
                self._take_back(done, difference)
                raise
            if taken.limit is not None:
                self._take_back(done, difference)
                stored = taken.tally.stored or Amount()
                alone = quota.exceeded_by(grows, stored + self.amount + difference) is None
                return _Refusal(place, taken.limit, alone)
            done.append(place)
            if quota and taken.tally.stored is None:
                is_checked = False
                self._counter.start(place, self._session)
        self._is_checked = is_checked
        return None

    def _take_back(self, places: list[CountedPlace], difference: Amount) -> None:
        for place in places:
            self._counter.counters.book(place.name, Counts(held=Amount() - difference))

    def end(self) -> None:
        """Hold nothing any more, as soon as a change of what is held that is under way is done."""
        if self._is_taking:
            self._ends = True
            return
        self._ends = False
        self._ended += 1
        amount, self.amount = self.amount, Amount()
        if amount != Amount():
            for place in self.quotas:
                self._counter.counters.book(place.name, Counts(held=Amount() - amount))
