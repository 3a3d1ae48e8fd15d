"""Prevents files and directories of the same name, which would hide each other.

    PUT a/b    where `a` is a file          refused: no walk of the tree would find `b`
    PUT a      where `a/…` is a directory   refused: no walk of the tree would find its contents

The store is asked, and decides, only if the session has seen such a name a moment ago or the server remembers
that it created one. Otherwise no request is sent, so an upload stays one request.
"""

from __future__ import annotations

from s3sftp.backends.contract import Place, Session
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.created_names import CreatedKind, CreatedNames
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.errors import IsADirectory, NotADirectory, NotFound


class NameConflicts:
    """Refuses names under which a file would hide something or could not be found."""

    def __init__(self, keys: KeyMapping, cache: MetadataCache, lookup: Lookup, made: CreatedNames) -> None:
        self._keys = keys
        self._cache = cache
        self._lookup = lookup
        self._made = made

    async def refuse(self, place: Place, session: Session) -> None:
        """Refuse a name for a new file.

        Raises IsADirectory: if the file would hide a directory. Raises NotADirectory: if it would be below a
        file. Raises PermissionDenied: if the name is reserved.
        """
        await self.refuse_below_file(place, session)
        if place.is_root or await self.hides_directory(place, session):
            raise IsADirectory

    async def hides_directory(self, place: Place, session: Session) -> bool:
        """Whether a file of this name would hide a directory, as far as that is known or was seen."""
        key = self._keys.key_of(place)
        cached = self._cache.get(key, session)
        if self._made.is_noted(key, CreatedKind.DIRECTORY) if cached is None else cached.info.is_dir:
            if await self._lookup.is_directory(place):
                return True
            self._forget(key)
        return False

    async def refuse_below_file(self, place: Place, session: Session) -> None:
        """Refuse a name below a file.

        Raises NotADirectory: if a name above is a file's. Raises PermissionDenied: if the name is reserved.
        """
        self._keys.refuse_to_make(place)
        while not (place := place.parent).is_root:
            key = self._keys.key_of(place)
            cached = self._cache.get(key, session)
            if self._made.is_noted(key, CreatedKind.FILE) if cached is None else not cached.info.is_dir:
                await self._refuse_file(place, key, session)
            elif cached is not None:
                return  # a directory, and so are those above it

    def made(self, key: str) -> None:
        """Note an object that was created without the cache: a file, or a directory's marker."""
        if not key.endswith("/"):
            self._made.note(key, CreatedKind.FILE)
        self._made.note_below(key)

    async def _refuse_file(self, place: Place, key: str, session: Session) -> None:
        try:
            info = await self._lookup.info(place, session)
        except NotFound:
            self._forget(key)
            return
        if not info.is_dir:
            raise NotADirectory
        self._made.note(key, CreatedKind.DIRECTORY)

    def _forget(self, key: str) -> None:
        """Forget a name that is no longer what was remembered."""
        self._cache.forget(key)
        self._made.forget(key)
