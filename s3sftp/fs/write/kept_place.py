"""What one session knows of its user's kept uploads: the parts that a lost line has left (`files.resume`).

STAT of a name at which nothing is stored costs one GET more. That there is nothing kept either is remembered
for a moment, so that the OPEN that follows a STAT need not ask again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from s3sftp.backends import FileInfo, Place, Session, Upload
from s3sftp.backends.kept_uploads import AdoptedBytes, KeptFile, KeptUploads

_REMEMBERED_SECONDS: Final = 10.0
_REMEMBERED: Final = 1000
NOTHING_KEPT: Final[Mapping[str, KeptUploads]] = MappingProxyType({})


class KeptPlace:
    """The kept upload of one user to one place. See `KeptUploads` for the calls."""

    def __init__(self, kept: KeptUploads, place: Place, session: Session, absent: AbsentPlaces) -> None:
        self._kept = kept
        self._place = place
        self._inside = Place(place.names)
        self._session = session
        self._absent = absent
        self.continues = False
        """Whether the file was opened by a client that may go on with it: without TRUNC and EXCL."""

    async def find(self) -> KeptFile | None:
        if self._absent.has(self._place):
            return None
        found = await self._kept.find(self._inside, self._session)
        if found is None:
            self._absent.add(self._place)
        return found

    def watch(self, upload: Upload) -> None:
        self._kept.watch(upload, self._session)

    async def adopt(self, upload: Upload, offset: int | None) -> AdoptedBytes | None:
        return await self._kept.adopt(upload, self._session, offset)

    async def keep(self, upload: Upload, tail: bytes) -> int | None:
        self._absent.forget(self._place)
        return await self._kept.keep(upload, tail, self._session)

    async def discard(self, *, by_removal: bool = False) -> bool:
        if self._absent.has(self._place):
            return False
        found = await self._kept.discard(self._inside, self._session, by_removal=by_removal)
        self._absent.add(self._place)
        return found


class AbsentPlaces:
    """The places at which nothing is kept, as the storage has just answered."""

    def __init__(self) -> None:
        self._until: OrderedDict[Place, float] = OrderedDict()

    def add(self, place: Place) -> None:
        self._until[place] = time.monotonic() + _REMEMBERED_SECONDS
        self._until.move_to_end(place)
        while len(self._until) > _REMEMBERED:
            self._until.popitem(last=False)

    def has(self, place: Place) -> bool:
        return self._until.get(place, 0.0) > time.monotonic()

    def forget(self, place: Place) -> None:
        self._until.pop(place, None)


class SessionKept:
    """The kept uploads of one session's user."""

    def __init__(self, kept: Mapping[str, KeptUploads], session: Session) -> None:
        """`kept` by the name of the storage; empty if uploads are not kept."""
        self._kept = kept
        self._session = session
        self._absent = AbsentPlaces()

    def __bool__(self) -> bool:
        """Whether any storage keeps uploads."""
        return bool(self._kept)

    def at(self, place: Place) -> KeptPlace | None:
        """The user's kept upload to a place; None if that storage keeps none."""
        kept = self._kept.get(place.storage)
        return None if kept is None else KeptPlace(kept, place, self._session, self._absent)

    async def info(self, place: Place) -> FileInfo | None:
        """What STAT shows of the user's kept upload to a place; None if there is none."""
        kept = self.at(place)
        found = None if kept is None else await kept.find()
        return None if found is None else FileInfo.file(found.size, found.kept_at)

    async def discard(self, place: Place, *, by_removal: bool = False) -> bool:
        """Discard the user's kept upload to a place, and return whether there was one."""
        kept = self.at(place)
        return kept is not None and await kept.discard(by_removal=by_removal)
