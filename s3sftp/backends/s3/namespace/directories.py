"""Creates and removes directories, which S3 does not have: their markers, and ghosts of emptied directories.

A directory without a marker disappears with its last file. A client that removes a tree does not know that
and sends RMDIR for it, so a directory that this process has emptied lately may be removed once more. Some
stores have real directories behind the keys and may go on listing the ghost of an emptied one. Deleting its
marker, which it never had, removes the ghost.
"""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from s3sftp.backends.contract import Place, Session
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.requests.list_pages import first_lines, is_listed
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.backends.s3.write.uploads import UploadOperations
from s3sftp.errors import AlreadyExists, InvalidRequest, NotEmpty, NotFound, StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
EMPTIED_SECONDS = 600.0
EMPTIED_ENTRIES = 10_000
_HIDDEN_ADVICE = "remove or rename the object with a tool of the store"


class DirectoryMarkers:
    """Creates and removes directories."""

    def __init__(
        self,
        client: S3Client,
        keys: KeyMapping,
        cache: MetadataCache,
        lookup: Lookup,
        writing: UploadOperations,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._keys = keys
        self._cache = cache
        self._lookup = lookup
        self._writing = writing
        self._clock = clock
        self._emptied: OrderedDict[str, float] = OrderedDict()
        """Markers of directories from which this process has removed something, and when."""

    async def make(self, place: Place, session: Session) -> None:
        """Write the marker of a directory.

        Raises AlreadyExists: if the name exists. Raises PermissionDenied: if the name is reserved.
        """
        self._keys.refuse_to_make(place)
        marker = self._keys.prefix_of(place)
        try:
            await self._lookup.info(place, session, is_unlikely=True)
        except NotFound:
            await self._writing.marker(marker, session)
        else:
            raise AlreadyExists

    async def remove(self, place: Place, session: Session) -> None:
        """Remove a directory that contains only its marker.

        Raises NotFound: if it does not exist. Raises NotADirectory: if it is a file. Raises NotEmpty: if
        anything is below it. Raises InvalidRequest: if it is the root.
        """
        if place.is_root:
            raise InvalidRequest("the root cannot be removed")
        marker = self._keys.prefix_of(place)
        lines = await first_lines(self._client, marker, 2)
        below = [line["Key"] for line in lines]
        self._refuse_hidden(marker, lines)
        if below not in ([], [marker]):
            raise NotEmpty
        emptied = self._was_emptied(marker)
        if not below:
            try:
                await self._lookup.refuse_file(place)
            except NotFound:
                if not emptied:
                    raise
        with self._cache.changing(marker.removesuffix("/"), session):
            await delete_object(self._client, marker)
        await self.removed_below(place, session)

    def _refuse_hidden(self, marker: str, lines: list[Answer]) -> None:
        """Raise NotEmpty, and log it for the operator, if the directory holds something that no listing
        shows. A client that sees an empty directory does not mean to remove that."""
        for line in lines:
            if line["Key"] == marker:
                text = "directory has content of its own that is not shown" if line["Size"] else ""
            else:
                first, slash, _ = line["Key"].removeprefix(marker).partition("/")
                is_shown = self._keys.name_of(f"{marker}{first}{slash}", marker) is not None
                text = "" if is_shown else "directory has objects in it that are not shown"
            if text:
                _log.warning("directory.removal_blocked", key=line["Key"], advice=_HIDDEN_ADVICE)
                raise NotEmpty(text)

    async def is_listed_empty(self, marker: str) -> bool:
        """Whether the store lists a directory although nothing is below it."""
        return await is_listed(self._client, marker)

    async def removed_below(self, place: Place, session: Session) -> None:
        """Note that something was removed. By option, write a marker so that its directory remains."""
        parent = place.parent
        if parent.is_root:
            return
        self._note_emptied(parent)
        if self._client.options.keep_empty_directories:
            await self._keep(self._keys.prefix_of(parent), session)

    async def _keep(self, marker: str, session: Session) -> None:
        try:
            if not await first_lines(self._client, marker, 1, needed=()):
                await self._writing.marker(marker, session)
        except AlreadyExists:
            pass
        except StorageError as error:  # the removal itself has succeeded
            _log.warning("directory.marker_not_written", error=str(error), detail=error.detail)

    def _note_emptied(self, place: Place) -> None:
        while not place.is_root:
            marker = self._keys.prefix_of(place)
            self._emptied[marker] = self._clock()
            self._emptied.move_to_end(marker)
            place = place.parent
        while len(self._emptied) > EMPTIED_ENTRIES:
            self._emptied.popitem(last=False)

    def _was_emptied(self, marker: str) -> bool:
        """Whether this process has emptied the directory lately. True only once."""
        emptied_at = self._emptied.pop(marker, None)
        return emptied_at is not None and self._clock() - emptied_at < EMPTIED_SECONDS


def marker_levels(top: str, keys: Iterable[str]) -> list[list[str]]:
    """Group the markers, existing or not, of `top` and the directories above the keys by depth, deepest
    first."""
    markers = {top}
    for key in keys:
        if key.endswith("/"):
            markers.add(key)
        while (key := key.removesuffix("/").rpartition("/")[0] + "/") not in markers:
            markers.add(key)
    ordered = sorted(markers, key=_depth, reverse=True)
    return [list(level) for _, level in itertools.groupby(ordered, _depth)]


def _depth(key: str) -> int:
    return key.count("/")
