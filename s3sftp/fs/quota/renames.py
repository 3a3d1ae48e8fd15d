"""Renames with quotas: what leaves one counted place may enter another.

    within     places that contain both the source and the target: nothing is added to them
    out        places that contain the source alone: what moves is taken away
    into       places that contain the target alone: what moves needs room

A file that is replaced at the target is looked at first. A rename copies before it removes, so an error may
leave both, and then the places are counted again. So are the places that a directory has left or entered:
what others have stored in it meanwhile is in no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3sftp.backends import Amount, CompleteBackend, Place, Session
from s3sftp.backends.borders import is_across
from s3sftp.fs.quota.counting import CountedPlace, amount_of_file
from s3sftp.fs.quota.holds import Change, Hold
from s3sftp.fs.quota.ledger import BEFORE_THE_COPY, QuotaLedger
from s3sftp.fs.quota.quotas import Quota

_NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class _Holds:
    """What a rename holds."""

    within: Hold
    out: Hold
    into: Hold

    @property
    def crosses(self) -> bool:
        """Whether anything enters or leaves a counted place."""
        return bool(self.out.quotas or self.into.quotas)


class QuotaRenames:
    """The renames of one session."""

    def __init__(
        self, behind: CompleteBackend, ledger: QuotaLedger, limits: Mapping[CountedPlace, Quota]
    ) -> None:
        """`behind` renames. `limits`: the session's quotas."""
        self._behind = behind
        self._ledger = ledger
        self._limits = limits

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        """As `Backend.rename`. Raises NoSpace: if what moves exceeds a quota that is only at the target."""
        leaves, enters = self._ledger.covering(source), self._ledger.covering(target)
        holds = _Holds(
            within=self._hold([each for each in enters if each in leaves], session),
            out=self._hold([each for each in leaves if each not in enters], session),
            into=self._hold([each for each in enters if each not in leaves], session),
        )
        if leaves or enters:
            await holds.into.ready()
            await holds.within.is_counted()
            await holds.out.is_counted()
            ask = self._behind.file_info if holds.crosses else self._behind.recent_info
            if not (await ask(source, session)).is_dir:
                await self._rename_file(source, target, session, holds, overwrite=overwrite)
                return
            if not is_across(source, target, session):
                await self._rename_directory(source, target, session, holds, overwrite=overwrite)
                return
        await self._behind.rename(source, target, session, overwrite=overwrite)

    def _hold(self, places: list[CountedPlace], session: Session) -> Hold:
        return self._ledger.hold(places, self._limits, session)

    async def _rename_file(
        self, source: Place, target: Place, session: Session, holds: _Holds, *, overwrite: bool
    ) -> None:
        async with self._ledger.alone_at(source, target):
            ask = self._behind.file_info if holds.crosses else self._behind.recent_info
            info = await ask(source, session)
            size = Amount(info.size, 1)
            replaced = await amount_of_file(self._behind, target, session) if overwrite else _NOTHING
            changes = (
                (holds.into, Change.by(size - replaced)),
                (holds.within, Change(size, size + replaced)),
                (holds.out, Change(minus=size)),
            )
            async with self._ledger.changing(*changes, nothing_happened=BEFORE_THE_COPY):
                await self._behind.rename(source, target, session, overwrite=overwrite)

    async def _rename_directory(
        self, source: Place, target: Place, session: Session, holds: _Holds, *, overwrite: bool
    ) -> None:
        total = await self._behind.total_below(source, session) if holds.crosses else _NOTHING
        changes = (
            (holds.into, Change(plus=total)),
            (holds.within, Change(moves_directory=True)),
            (holds.out, Change(minus=total)),
        )
        try:
            async with self._ledger.changing(*changes, nothing_happened=BEFORE_THE_COPY):
                await self._behind.rename(source, target, session, overwrite=overwrite)
        finally:  # what was stored in it meanwhile is in no number
            self._ledger.doubt_below(source, target)
            self._ledger.doubt([*holds.into.quotas, *holds.out.quotas])
