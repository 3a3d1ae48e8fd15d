"""Counts what is stored below a place, by listing it: when that is first needed, and when it is long ago.

Nobody waits for a count but whoever needs the first one, or would be refused otherwise: before that a count
older than a minute is renewed, because others may have removed something. A place is counted once at a time,
in a task of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from s3sftp.backends import Amount, CompleteBackend, Place, Session
from s3sftp.errors import PermissionDenied, StorageError, StorageFailure
from s3sftp.fs.quota.counters import QuotaCounters
from s3sftp.fs.quota.quotas import Tally, is_exact, reconciled
from s3sftp.runtime.cancellation import run_to_completion
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.quota")
FRESH_SECONDS = 60.0
"""How old a count may be by which something is refused."""
_ATTEMPTS = 3
"""Listings of one count, if directories are renamed meanwhile."""


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


class PlaceCounter:
    """Counts places for all sessions of this process."""

    def __init__(
        self,
        backend: CompleteBackend,
        counters: QuotaCounters,
        recount_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`backend` lists what is to be counted. `clock` returns seconds since the epoch."""
        self.counters = counters
        self._backend = backend
        self._recount_seconds = recount_seconds
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Cancel the counts that are under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def tally(self, place: CountedPlace) -> Tally:
        """The numbers of a place as they are known."""
        return await self.counters.tally(place.name)

    async def look(self, place: CountedPlace) -> Tally:
        """The numbers of a place as they are at this moment."""
        return await self.counters.look(place.name)

    async def ready(self, place: CountedPlace, session: Session) -> Tally:
        """The numbers of a place. Counts first if nobody has, and begins to count again if that is long ago.

        Raises StorageError: if the first count fails.
        """
        tally = await self.begin(place, session)
        for _ in range(_ATTEMPTS):
            if tally.stored is not None:
                return tally
            await self._wait_for(self.start(place, session))
            tally = await self.tally(place)
        if tally.stored is None:  # what was counted got lost each time
            raise StorageFailure("nobody knows how much is stored")
        return tally

    async def begin(self, place: CountedPlace, session: Session) -> Tally:
        """The numbers of a place as they are known. Begins to count if nobody has, or if that is long ago."""
        tally = await self.tally(place)
        now, most = self._clock(), self._recount_seconds
        if place.is_doubtful or tally.is_doubtful:
            most = FRESH_SECONDS
        elif tally.vague:  # where something is changed all the time, no count may ever settle it
            most = min(most, FRESH_SECONDS * 2 ** min(tally.vague - 1, 20))
        if tally.stored is None or not 0 <= now - max(tally.counted_at, place.tried_at) <= most:
            self.start(place, session)
        return tally

    async def renew(self, place: CountedPlace, session: Session) -> bool:
        """Find out anew how full a place is, before something is refused: count it again, unless that was a
        moment ago, or fails; else have the others tell what they have not told yet. Returns whether anything
        was done."""
        if await self._was_counted_lately(place):
            if not await self.counters.settle(place.name):
                return False
            if await self._was_counted_lately(place):
                return True
        try:
            await self._wait_for(self.start(place, session))
        except StorageError:
            return False
        return True

    async def _was_counted_lately(self, place: CountedPlace) -> bool:
        """Whether a count a moment ago is all that one now could find, or has failed."""
        now, tally = self._clock(), await self.tally(place)
        counted_at = 0.0 if tally.is_doubtful else tally.counted_at
        return tally.stored is not None and 0 <= now - max(counted_at, place.tried_at) < FRESH_SECONDS

    async def while_first_counted(self, place: CountedPlace) -> None:
        """Wait for a count under way if it is the first."""
        if place.counting is not None and (await self.tally(place)).stored is None:
            with suppress(StorageError):
                await self._wait_for(place.counting)

    def start(self, place: CountedPlace, session: Session) -> asyncio.Task[None]:
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
            await self._count_again(place, session, was_doubtful=was_doubtful)
        except BaseException as error:
            await run_to_completion(self.counters.count_is_over(place.name))
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

    async def _count_again(self, place: CountedPlace, session: Session, *, was_doubtful: bool) -> None:
        # the count of somebody else may have passed what this process is in doubt about
        known = None if was_doubtful else await self.tally(place)
        before = await self.counters.count_begins(place.name, known)
        if before is None:
            return
        for _ in range(_ATTEMPTS):
            listed = await self._backend.total_below(place.place, session)
            after = await self.counters.count_ends(place.name)
            stored = reconciled(before, after, listed)
            if stored is not None:
                break
            before = after
        else:  # directories were renamed all the time
            place.is_doubtful = True
            stored = listed if after.stored is None else after.stored
        was_doubtful = was_doubtful or any(each.is_doubtful or each.vague for each in (before, after))
        vague = 1 + before.vague if was_doubtful and not is_exact(before, after) else 0
        await self.counters.set_stored(place.name, stored, after, self._clock(), vague)
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


async def amount_of_file(backend: CompleteBackend, place: Place, session: Session) -> Amount:
    """The file that is stored at a place; nothing if there is none."""
    size = await backend.size_of_file(place, session)
    return Amount() if size is None else Amount(size, 1)
