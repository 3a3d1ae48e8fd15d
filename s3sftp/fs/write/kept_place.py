"""What one session knows of its user's kept uploads: the parts that a lost line has left (`files.resume`).

    STAT, FSTAT     look, and are remembered, because a client goes on at the size that it was told
    OPEN            believes a look that is not older than a moment
    first WRITE     the storage decides: what is continued is what it has then, and no less than was told

STAT of a name at which nothing is stored costs one GET more, and a ListParts if something is kept there.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from s3sftp.backends import FileInfo, Place, Session, Upload
from s3sftp.backends.kept_uploads import AdoptedBytes, KeptFile, KeptUploads

_REMEMBERED_SECONDS: Final = 10.0
_REMEMBERED: Final = 1000
NOTHING_KEPT: Final[Mapping[str, KeptUploads]] = MappingProxyType({})


class KeptPlace:
    """The kept upload of one user to one place. See `KeptUploads` for the calls."""

    def __init__(self, kept: KeptUploads, place: Place, session: Session, told: ToldSizes) -> None:
        self._kept = kept
        self._place = place
        self._inside = Place(place.names)
        self._session = session
        self._told = told
        self.continues = False
        """Whether the file was opened by a client that may go on with it: without TRUNC and EXCL."""
        self.stands_in = False
        """Whether the file was opened without CREAT where nothing is stored, because of it."""

    @property
    def told(self) -> int | None:
        """The size at which the client may believe it can go on, in bytes; None if nothing was shown."""
        return self._told.size_at(self._place)

    @property
    def was_shown(self) -> bool:
        """Whether the client was shown a kept upload, which there is only where no file is stored."""
        return self._told.was_kept(self._place)

    @property
    def is_absent(self) -> bool:
        """Whether the storage has answered a moment ago that nothing is kept."""
        return self._told.known_at(self._place) is False

    async def find(self) -> KeptFile | None:
        found = await self._kept.find(self._inside, self._session)
        self._told.add(self._place, None if found is None else found.size)
        return found

    async def is_there(self) -> bool:
        """Whether something is kept, as the storage says or has said a moment ago. What STAT has shown stays
        what the client believes."""
        known, told = self._told.known_at(self._place), self.told
        if known is not None:
            return known
        found = await self.find()
        if found is not None and told is not None:
            self._told.add(self._place, told)
        return found is not None

    def watch(self, upload: Upload) -> None:
        self._kept.watch(upload, self._session)

    async def adopt(self, upload: Upload, offset: int | None, at_least: int) -> AdoptedBytes | None:
        self._told.forget(self._place)  # whatever comes of it: the next STAT says what is there then
        adopted = await self._kept.adopt(upload, self._session, offset, at_least)
        if adopted is None:
            self._told.add(self._place, None)
        return adopted

    async def keep(self, upload: Upload, tail: bytes) -> int | None:
        self._told.forget(self._place)
        return await self._kept.keep(upload, tail, self._session)

    async def discard(self, *, by_removal: bool = False) -> bool:
        if self.is_absent and not by_removal:
            return False
        found = await self._kept.discard(self._inside, self._session, by_removal=by_removal)
        self._told.add(self._place, None)
        return found

    def forget(self) -> None:
        """Forget what the client was told, because something has become of the name since."""
        self._told.forget(self._place)


@dataclass(frozen=True, slots=True)
class _Told:
    size: int | None
    """In bytes; None if nothing is kept."""
    is_kept: bool
    """Whether it is about a kept upload, and not about one that runs."""
    at: float
    """By the monotonic clock."""


class ToldSizes:
    """What a session was told of places at which nothing is stored, latest last."""

    def __init__(self) -> None:
        self._told: OrderedDict[Place, _Told] = OrderedDict()

    def add(self, place: Place, size: int | None, *, is_kept: bool = True) -> None:
        """A client was told this size; None: that there is nothing. `is_kept`: as that of a kept upload, not
        of one that runs."""
        self._told[place] = _Told(size, is_kept, time.monotonic())
        self._told.move_to_end(place)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def size_at(self, place: Place) -> int | None:
        """The size that was told last, however long ago."""
        told = self._told.get(place)
        return None if told is None else told.size

    def known_at(self, place: Place) -> bool | None:
        """Whether something was kept a moment ago; None if that is not known."""
        told = self._told.get(place)
        if told is None or not told.is_kept or told.at + _REMEMBERED_SECONDS <= time.monotonic():
            return None
        return told.size is not None

    def was_kept(self, place: Place) -> bool:
        """Whether the size that was told last is that of a kept upload."""
        told = self._told.get(place)
        return told is not None and told.size is not None and told.is_kept

    def forget(self, place: Place) -> None:
        self._told.pop(place, None)


class SessionKept:
    """The kept uploads of one session's user."""

    def __init__(self, kept: Mapping[str, KeptUploads], session: Session) -> None:
        """`kept` by the name of the storage; empty if uploads are not kept."""
        self._kept = kept
        self._session = session
        self._told = ToldSizes()

    def __bool__(self) -> bool:
        """Whether any storage keeps uploads."""
        return bool(self._kept)

    def at(self, place: Place) -> KeptPlace | None:
        """The user's kept upload to a place; None if that storage keeps none."""
        kept = self._kept.get(place.storage)
        return None if kept is None else KeptPlace(kept, place, self._session, self._told)

    async def info(self, place: Place) -> FileInfo | None:
        """What STAT shows of the user's kept upload to a place; None if there is none."""
        kept = self.at(place)
        found = None if kept is None else await kept.find()
        return None if found is None else FileInfo.file(found.size, found.kept_at)

    def shown(self, place: Place, size: int) -> None:
        """Note that STAT has shown an upload of the user that another session is sending."""
        if self._kept:
            self._told.add(place, size, is_kept=False)

    def forget(self, place: Place) -> None:
        """Forget what STAT has shown, because it shows something else."""
        self._told.forget(place)

    async def discard(self, place: Place, *, by_removal: bool = False) -> bool:
        """Discard the user's kept upload to a place, and return whether there was one."""
        kept = self.at(place)
        return kept is not None and await kept.discard(by_removal=by_removal)
