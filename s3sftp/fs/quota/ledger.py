"""Keeps the books of the places that have quotas: one ledger for each process.

    upload      hold what was sent ─► at CLOSE hold what it adds, store it, book it ─► the hold ends
    removal     store ─► book
    count       list everything below a place: before the first change, and again when that is long ago

Whoever needs room adds to what is held, looks at the sum of everybody's, and takes back what is too much. So
however many store at once, in however many workers, the quota is never exceeded.

Nothing is counted before it matters: the first change waits for the count, and uploads send their bytes
meanwhile. Later counts run beside the changes. Before anything is refused, a count that is older than a
minute is renewed, because others may have removed something.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, replace

from s3sftp.backends import Amount, CompleteBackend, Place, Session
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotEmpty,
    NotFound,
    PermissionDenied,
    StorageError,
    StorageFailure,
)
from s3sftp.fs.quota.counters import QuotaCounters
from s3sftp.fs.quota.quotas import NO_QUOTA, NOTHING, Counts, Quota, Tally, reconciled
from s3sftp.fs.quota.shared_counts import SharedQuotaCounts
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.quota")
FRESH_SECONDS = 60.0
"""How old a count may be by which something is refused."""
_ATTEMPTS = 3
"""Listings of one count, if directories are renamed meanwhile."""
_NOTHING_HAPPENED = (AlreadyExists, Changed, IsADirectory, NotADirectory, NotEmpty, NotFound, NoSpace)
"""Errors after which it is certain that nothing was changed."""


class CountedPlace:
    """A directory whose files are counted, because somebody has a quota for it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = f"{place.storage}\0{place.key.decode('latin-1')}"
        self.counting: asyncio.Task[None] | None = None
        self.is_doubtful = False
        """Whether something may have happened that is not in the numbers."""
        self.tried_at = 0.0
        """When the last count that failed had begun, in seconds since the epoch."""


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


class Hold:
    """What an upload, or another change, holds at each of its places until it is booked."""

    def __init__(self, ledger: QuotaLedger, quotas: Mapping[CountedPlace, Quota], session: Session) -> None:
        """`quotas`: the places, each with what the session may store there."""
        self.quotas = quotas
        self.amount = Amount()
        self._ledger = ledger
        self._session = session
        self._is_checked = True

    async def ready(self) -> None:
        """Wait until the places are counted that have a quota of this session, and for counts of others that
        are the first and under way. Raises StorageError: if a count fails."""
        for place, quota in self.quotas.items():
            if quota:
                await self._ledger.ready(place, self._session)
            else:
                await self._ledger.while_first_counted(place)

    async def set_to(self, amount: Amount) -> None:
        """Hold this much, in place of what is held so far. Where nobody has counted yet, it is checked by the
        next call.

        Raises NoSpace: if it grows, and a quota would be exceeded; what is held is then as before.
        """
        before, difference = self.amount, amount - self.amount
        grows = difference.above_zero if self._is_checked else amount
        for is_last in (False, True):
            self.amount = amount
            refused = await self._add_and_check(difference, grows)
            if refused is None:
                return
            self.amount = before
            place, limit = refused
            if is_last or not await self._ledger.renew(place, self._session):
                raise self.quotas[place].refusal(limit)

    async def _add_and_check(self, difference: Amount, grows: Amount) -> tuple[CountedPlace, str] | None:
        """Add to what is held at all places. Takes it back, and returns the place and the limit, if a quota
        is exceeded."""
        refused, is_checked = None, True
        done: list[CountedPlace] = []
        for place, quota in self.quotas.items():
            tally = await self._ledger.counters.add(place.name, Counts(held=difference))
            done.append(place)
            if not quota:
                continue
            if tally.stored is None:
                is_checked = False
                self._ledger.start_counting(place, self._session)
            elif (limit := quota.exceeded_by(grows, tally.used)) is not None:
                refused = place, limit
                break
        if refused is not None:
            for place in done:
                await self._ledger.counters.add(place.name, Counts(held=Amount() - difference))
        else:
            self._is_checked = is_checked
        return refused

    async def end(self) -> None:
        """Hold nothing any more."""
        amount, self.amount = self.amount, Amount()
        if amount != Amount():
            for place in self.quotas:
                await self._ledger.counters.add(place.name, Counts(held=Amount() - amount))


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
        self.counters: QuotaCounters = counters or SharedQuotaCounts()
        self._backend = backend
        self._recount_seconds = recount_seconds
        self._clock = clock
        self._places: dict[tuple[str, tuple[bytes, ...]], CountedPlace] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: defaultdict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._users: defaultdict[Place, int] = defaultdict(int)

    async def stop(self) -> None:
        """Cancel the counts that are under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

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
    async def changing(self, *changes: tuple[Hold, Change]) -> AsyncIterator[Outcome]:
        """Hold while a change is made: it is booked if it was made, and forgotten if not. All holds end.

        Raises NoSpace: if a quota would be exceeded; then nothing may be changed.
        """
        try:
            for hold, change in changes:
                await hold.set_to(change.need)
        except BaseException:
            for hold, _ in changes:
                await hold.end()
            raise
        await self._book(changes, began=True)
        outcome = Outcome()
        try:
            yield outcome
        except BaseException as error:
            await self._book(changes, happened=outcome.happened)
            if not isinstance(error, _NOTHING_HAPPENED):
                self.doubt(place for hold, _ in changes for place in hold.quotas)
            raise
        await self._book(changes, happened=True)

    async def _book(
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
                await self.counters.add(place.name, counts)

    # ── counts ──────────────────────────────────────────────────────────────────────────────────────

    async def tally(self, place: CountedPlace) -> Tally:
        """The numbers of a place as they are known."""
        return await self.counters.add(place.name, NOTHING)

    async def ready(self, place: CountedPlace, session: Session) -> Tally:
        """The numbers of a place. Counts first if nobody has, and begins to count again if that is long ago.

        Raises StorageError: if the first count fails.
        """
        tally = await self.begin(place, session)
        if tally.stored is None:
            await self._wait_for(self.start_counting(place, session))
            tally = await self.tally(place)
        return tally

    async def begin(self, place: CountedPlace, session: Session) -> Tally:
        """The numbers of a place as they are known. Begins to count if nobody has, or if that is long ago."""
        tally = await self.tally(place)
        now, most = self._clock(), FRESH_SECONDS if place.is_doubtful else self._recount_seconds
        if tally.stored is None or not 0 <= now - max(tally.counted_at, place.tried_at) <= most:
            self.start_counting(place, session)
        return tally

    async def renew(self, place: CountedPlace, session: Session) -> bool:
        """Count a place again, unless that was a moment ago, or fails. Returns whether that was done."""
        now, tally = self._clock(), await self.tally(place)
        if tally.stored is not None and 0 <= now - max(tally.counted_at, place.tried_at) < FRESH_SECONDS:
            return False
        try:
            await self._wait_for(self.start_counting(place, session))
        except StorageError:
            return False
        return True

    async def while_first_counted(self, place: CountedPlace) -> None:
        """Wait for a count under way if it is the first."""
        if place.counting is not None and (await self.tally(place)).stored is None:
            with suppress(StorageError):
                await self._wait_for(place.counting)

    def start_counting(self, place: CountedPlace, session: Session) -> asyncio.Task[None]:
        """Begin to count a place, unless a count is under way. Returns its task, which belongs to the
        ledger."""
        if place.counting is None:
            # its requests are not part of the transfer that causes them, nor of its trace
            place.counting = task = asyncio.create_task(self._count(place, session), context=Context())
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._counted(place, done))
        return place.counting

    def _counted(self, place: CountedPlace, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        place.counting = None
        if not task.cancelled():
            task.exception()  # retrieved, also if nobody waits for the count

    async def _wait_for(self, count: asyncio.Task[None]) -> None:
        """Raises StorageError: if the count fails."""
        await asyncio.wait([count])
        if count.cancelled():
            raise StorageFailure("the server is stopping")
        error = count.exception()
        if isinstance(error, PermissionDenied):
            raise StorageFailure(detail=f"cannot count what is stored: {error.detail or error}") from error
        if error is not None:
            raise error

    async def _count(self, place: CountedPlace, session: Session) -> None:
        began = self._clock()
        was_doubtful, place.is_doubtful = place.is_doubtful, False
        try:
            await self._count_again(place, session)
        except BaseException as error:
            place.is_doubtful, place.tried_at = was_doubtful, began
            if isinstance(error, StorageError):
                _log.warning(
                    "quota.count_failed",
                    place=place.place.key.decode(errors="replace"),
                    storage=place.place.storage or None,
                    error=str(error),
                    detail=error.detail,
                )
            raise

    async def _count_again(self, place: CountedPlace, session: Session) -> None:
        for _ in range(_ATTEMPTS):
            before = await self.tally(place)
            listed = await self._backend.total_below(place.place, session)
            after = await self.tally(place)
            stored = reconciled(before, after, listed)
            if stored is not None:
                break
        else:  # directories were renamed all the time
            place.is_doubtful = True
            stored = listed if after.stored is None else after.stored
        await self.counters.set_stored(place.name, stored, after, self._clock())
        off = stored - (after.stored or stored)
        told = _log.debug if after.stored is not None and off == Amount() else _log.info
        told(
            "quota.counted",
            place=place.place.key.decode(errors="replace"),
            storage=place.place.storage or None,
            bytes=stored.bytes,
            files=stored.files,
            corrected_bytes=off.bytes,
            corrected_files=off.files,
        )


def hold_for(
    ledger: QuotaLedger,
    places: Iterable[CountedPlace],
    limits: Mapping[CountedPlace, Quota],
    session: Session,
) -> Hold:
    """A hold of nothing yet, at places for which a session has these limits."""
    return Hold(ledger, {place: limits.get(place, NO_QUOTA) for place in places}, session)
