"""What a session with quotas stores through: it finds out what each change adds and takes away.

    begin_write      refuses a new file where the quota is used up
    write_chunk      holds what was sent; the bytes of a file that it replaces do not count twice
    finish_write     looks at the file that it replaces, unless that is known; holds the difference, books it
    delete           looks at the file first
    rename           see `renames`
    copy             like an upload of the whole file

A change costs requests only if it is in a place that is counted. Directories are no files, and attributes
take no room. Sessions without a quota do not have this in front of the storage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from s3sftp.backends import (
    Amount,
    Buffer,
    CompleteBackend,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)
from s3sftp.backends.in_front import BackendInFront
from s3sftp.errors import NoSpace
from s3sftp.fs.quota.counting import CountedPlace, amount_of_file
from s3sftp.fs.quota.holds import Change, Hold
from s3sftp.fs.quota.ledger import QuotaLedger
from s3sftp.fs.quota.quotas import PlacedQuota, Quota, tighter
from s3sftp.fs.quota.refusals import counting_refusals
from s3sftp.fs.quota.renames import QuotaRenames
from s3sftp.telemetry.metrics import Metrics

_NOTHING = Amount()


@dataclass(slots=True)
class _Begun:
    """An upload that has begun."""

    upload: Upload
    """Kept, so that its identity stays its own."""
    place: Place
    intent: WriteIntent
    hold: Hold
    sent_bytes: int = 0
    replaced_bytes: int | None = None
    """The size of the file that it replaces; None if that is not known."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while what it holds is changed, as chunks are sent side by side."""


class QuotaBackend(BackendInFront):
    """The storage behind it, for one session's user."""

    def __init__(
        self, behind: CompleteBackend, ledger: QuotaLedger, quotas: Sequence[PlacedQuota], metrics: Metrics
    ) -> None:
        super().__init__(behind)
        self._ledger = ledger
        self._metrics = metrics
        self._limits = {ledger.counted(each.place): each.quota for each in quotas}
        self._renames = QuotaRenames(behind, ledger, self._limits)
        self._begun: dict[int, _Begun] = {}

    def _hold(self, places: Iterable[CountedPlace], session: Session) -> Hold:
        return self._ledger.hold(places, self._limits, session)

    # ── uploads ─────────────────────────────────────────────────────────────────────────────────────

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        """As `Backend.begin_write`. Raises NoSpace: if a quota is used up, and the file is new."""
        covering = self._ledger.covering(place)
        if not covering:
            return await self.behind.begin_write(place, intent, session)
        await self._refuse_if_full(covering, place, intent, session)
        upload = await self.behind.begin_write(place, intent, session)
        begun = _Begun(upload, place, intent, self._hold(covering, session))
        if intent.exclusive or intent.base is not None:
            begun.replaced_bytes = intent.base.size if intent.base and not intent.exclusive else 0
        self._begun[id(upload)] = begun
        return upload

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await self.behind.write_chunk(upload, data, session)  # first: it takes its position in the file
        await self._sent(upload, memoryview(data).nbytes, session)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await self.behind.keep_range(upload, start, stop, session)
        await self._sent(upload, stop - start, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        begun = self._begun.get(id(upload))
        if begun is None:
            return await self.behind.finish_write(upload, tail, finish, session)
        await begun.hold.ready()
        async with self._ledger.alone_at(begun.place):
            replaced = await self._replaced_by(begun, finish, session)
            change = Change.by(Amount(finish.size, 1) - replaced)
            with counting_refusals(self._metrics):
                async with self._ledger.changing((begun.hold, change)) as outcome:
                    try:
                        info = await self.behind.finish_write(upload, tail, finish, session)
                    finally:
                        outcome.happened = upload.stored is not None
        self._begun.pop(id(upload), None)
        return info

    async def abort_write(self, upload: Upload, session: Session) -> None:
        begun = self._begun.pop(id(upload), None)
        try:
            await self.behind.abort_write(upload, session)
        finally:
            if begun is not None:
                begun.hold.end()

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        hold = self._hold(self._ledger.covering(place), session)
        if not hold.quotas:
            return await self.behind.write_file(place, data, session)
        await hold.ready()
        async with self._ledger.alone_at(place):
            size = memoryview(data).nbytes
            change = Change.by(Amount(size, 1) - await amount_of_file(self.behind, place, session))
            with counting_refusals(self._metrics):
                async with self._ledger.changing((hold, change)):
                    return await self.behind.write_file(place, data, session)

    async def require_room(self, place: Place, size: int, session: Session) -> None:
        """Raises NoSpace: if there is no room for a file of this size, in bytes, at a place."""
        hold = self._hold(self._ledger.covering(place), session)
        await hold.ready()
        replaced = await amount_of_file(self.behind, place, session)
        try:
            await hold.set_to((Amount(size, 1) - replaced).above_zero)
        finally:
            hold.end()

    async def _sent(self, upload: Upload, count: int, session: Session) -> None:
        """Hold what an upload has sent, as far as it is more than what it replaces."""
        begun = self._begun.get(id(upload))
        if begun is None:
            return
        begun.sent_bytes += count
        async with begun.lock:
            with counting_refusals(self._metrics):
                try:
                    await _hold_sent(begun)
                except NoSpace:
                    if begun.replaced_bytes is not None:
                        raise
                    begun.replaced_bytes = (await amount_of_file(self.behind, begun.place, session)).bytes
                    await _hold_sent(begun)
        if id(upload) not in self._begun:  # it was aborted meanwhile
            begun.hold.end()

    async def _refuse_if_full(
        self, covering: Iterable[CountedPlace], place: Place, intent: WriteIntent, session: Session
    ) -> None:
        """Raises NoSpace: if there is no room for another file. Asks nothing while there is."""
        for counted in covering:
            quota = self._limits.get(counted)
            if not quota:
                continue
            await self._ledger.counter.begin(counted, session)
            limit = await self._full(counted, quota)
            if limit is None or intent.base is not None:
                continue
            if intent.exclusive or await amount_of_file(self.behind, place, session) == _NOTHING:
                if await self._ledger.counter.renew(counted, session):
                    limit = await self._full(counted, quota)
                if limit is not None:
                    with counting_refusals(self._metrics):
                        raise quota.refusal(limit)

    async def _full(self, counted: CountedPlace, quota: Quota) -> str | None:
        """The limit that leaves no room for another file, as far as is known."""
        counter = self._ledger.counter
        for ask in (counter.tally, counter.look):
            tally = await ask(counted)
            if tally.stored is None or (limit := quota.full(tally.used)) is None:
                return None
        return limit

    async def _replaced_by(self, begun: _Begun, finish: Finish, session: Session) -> Amount:
        """What the commit of an upload takes away. It is the base, if bytes of it are kept."""
        if begun.intent.exclusive:
            return _NOTHING
        if begun.intent.base is not None and finish.base_kept:
            return Amount(begun.intent.base.size, 1)
        return await amount_of_file(self.behind, begun.place, session)

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    async def delete(self, place: Place, session: Session) -> None:
        hold = self._hold(self._ledger.covering(place), session)
        if not hold.quotas or not await hold.is_counted():
            await self.behind.delete(place, session)
            return
        async with self._ledger.alone_at(place):
            removed = Change(minus=await amount_of_file(self.behind, place, session))
            async with self._ledger.changing((hold, removed)):
                await self.behind.delete(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        """As `Backend.rename`. Raises NoSpace: if what moves exceeds a quota that is only at the target."""
        with counting_refusals(self._metrics):
            await self._renames.rename(source, target, session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        """As `Extras.copy`. Raises NoSpace: if a quota would be exceeded."""
        hold = self._hold(self._ledger.covering(target), session)
        if not hold.quotas:
            return await self.behind.copy(source, target, session, version=version)
        await hold.ready()
        async with self._ledger.alone_at(target):
            copied = await amount_of_file(self.behind, source, session)
            change = Change.by(copied - await amount_of_file(self.behind, target, session))
            with counting_refusals(self._metrics):
                async with self._ledger.changing((hold, change)):
                    return await self.behind.copy(source, target, session, version=version)

    # ── how much there is ───────────────────────────────────────────────────────────────────────────

    async def usage(self, place: Place, session: Session) -> Usage:
        """How full the quota is that leaves the least room; the storage, if it leaves less."""
        usage = await self.behind.usage(place, session)
        for counted in self._ledger.covering(place):
            quota = self._limits.get(counted)
            if quota:
                await self._ledger.counter.ready(counted, session)
                used = (await self._ledger.counter.look(counted)).used
                size = tighter((usage.total_bytes, usage.used_bytes), (quota.bytes, used.bytes))
                files = tighter((usage.total_files, usage.used_files), (quota.files, used.files))
                usage = Usage(*size, *files)
        return usage


async def _hold_sent(begun: _Begun) -> None:
    await begun.hold.set_to(Amount(max(0, begun.sent_bytes - (begun.replaced_bytes or 0))))
