"""Keeps the books of the places that have quotas: one ledger for each process.

    upload      hold what was sent ─► at CLOSE hold what it adds, store it, book it ─► the hold ends
    removal     store ─► book
    count       list everything below a place: before the first change, and again when that is long ago

Nothing is counted before it matters: the first change waits for the count, and uploads send their bytes
meanwhile. Later counts run beside the changes.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from s3sftp.backends import Amount, CompleteBackend, Place, Session
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotEmpty,
    NotFound,
    StorageError,
)
from s3sftp.fs.quota.counters import QuotaCounters
from s3sftp.fs.quota.counting import CountedPlace, PlaceCounter
from s3sftp.fs.quota.holds import Change, Hold
from s3sftp.fs.quota.quotas import NO_QUOTA, Counts, Quota
from s3sftp.fs.quota.shared_counts import SharedQuotaCounts

_NOTHING_HAPPENED = (AlreadyExists, Changed, IsADirectory, NotADirectory, NotEmpty, NotFound, NoSpace)
"""Errors after which it is certain that nothing was changed."""
BEFORE_THE_COPY = (AlreadyExists, IsADirectory, NotADirectory, NotEmpty, NoSpace)
"""Errors after which it is certain that a rename has copied nothing. `Changed`, `NotFound` and
`PermissionDenied` may come from the removal of the source, after its copy was stored."""


class Outcome:
    """What has become of a change."""

    happened = False
    """Whether it was made, even if what followed has failed."""


class QuotaLedger:
    """The numbers of all places with quotas, as this process uses them."""

    def __init__(
        self,
        backend: CompleteBackend,
        *,
        recount_seconds: float,
        counters: QuotaCounters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`backend` lists what is to be counted. `counters`: None: those of this process alone. `clock`
        returns seconds since the epoch."""
        self.counter = PlaceCounter(backend, counters or SharedQuotaCounts(), recount_seconds, clock)
        self._places: dict[tuple[str, tuple[bytes, ...]], CountedPlace] = {}
        self._busy: defaultdict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._users: defaultdict[Place, int] = defaultdict(int)

    async def stop(self) -> None:
        """Cancel the counts that are under way."""
        await self.counter.stop()

    # ── places ──────────────────────────────────────────────────────────────────────────────────────

    def counted(self, place: Place) -> CountedPlace:
        """The place as one that is counted from now on."""
        key = place.storage, place.names
        if key not in self._places:
            self._places[key] = CountedPlace(place)
        return self._places[key]

    def covering(self, place: Place) -> list[CountedPlace]:
        """The places that are counted and contain a place."""
        above = (place.names[:depth] for depth in range(len(place.names) + 1))
        found = (self._places.get((place.storage, names)) for names in above)
        return [each for each in found if each is not None]

    def doubt(self, places: Iterable[CountedPlace]) -> None:
        """Have places counted again when they are next needed."""
        for place in places:
            place.is_doubtful = True

    def doubt_below(self, *directories: Place) -> None:
        """Have places counted again that are inside a directory which was renamed."""
        self.doubt(each for each in self._places.values() if any(map(each.place.is_within, directories)))

    @asynccontextmanager
    async def alone_at(self, *files: Place) -> AsyncIterator[None]:
        """Let nobody else of this process change these files: what they take away must be what is there."""
        async with AsyncExitStack() as held:
            for file in sorted(set(files), key=lambda each: (each.storage, each.names)):
                self._users[file] += 1
                held.callback(self._leave, file)
                await held.enter_async_context(self._busy[file])
            yield

    def _leave(self, file: Place) -> None:
        self._users[file] -= 1
        if not self._users[file]:
            del self._users[file], self._busy[file]

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def changing(
        self,
        *changes: tuple[Hold, Change],
        nothing_happened: tuple[type[StorageError], ...] = _NOTHING_HAPPENED,
    ) -> AsyncIterator[Outcome]:
        """Hold while a change is made: it is booked if it was made, and forgotten if not. All holds end.

        After an error that is none of `nothing_happened` the places are counted again.

        Raises NoSpace: if a quota would be exceeded; then nothing may be changed.
        """
        try:
            for _ in range(self._rounds(changes)):
                for hold, change in changes:
                    await hold.set_to(change.need)
        except BaseException:
            for hold, _ in changes:
                hold.end()
            raise
        self._book(changes, began=True)
        outcome = Outcome()
        try:
            yield outcome
        except BaseException as error:
            self._book(changes, happened=outcome.happened)
            if not isinstance(error, nothing_happened):
                self.doubt(place for hold, _ in changes for place in hold.quotas)
            raise
        self._book(changes, happened=True)

    def _rounds(self, changes: Sequence[tuple[Hold, Change]]) -> int:
        """How often each place is taken. A share of nothing may be given back while another place is waited
        for; then it is taken again, so that whoever counts knows of the change."""
        places = sum(len(hold.quotas) for hold, _ in changes)
        return 2 if places > 1 and self.counter.counters.waits else 1

    def _book(
        self, changes: Sequence[tuple[Hold, Change]], *, began: bool = False, happened: bool = False
    ) -> None:
        for hold, change in changes:
            moves = int(change.moves_directory)
            plus, minus = change.plus, change.minus
            if began:
                counts = Counts(admitted=plus, leaving=minus, moving=moves, moves=moves)
            else:
                none = Amount()
                counts = Counts(none - hold.amount, none - plus, none - minus, -moves)
                hold.amount = none
                if happened:
                    counts = replace(counts, added=plus, removed=minus)
            for place in hold.quotas:
                self.counter.counters.book(place.name, counts)

    def hold(
        self, places: Iterable[CountedPlace], limits: Mapping[CountedPlace, Quota], session: Session
    ) -> Hold:
        """A hold of nothing yet, at places for which a session has these limits."""
        return Hold(self.counter, {place: limits.get(place, NO_QUOTA) for place in places}, session)
