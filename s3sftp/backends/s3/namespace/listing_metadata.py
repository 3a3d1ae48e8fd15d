"""Completes listing entries with times and permissions, which LIST does not report.

Those of files are in their metadata; those of directories are their markers':

    page of LIST ─► what is known of each version ─► HEAD of the others, several at once ─► entries

Replies are cached (`version_cache`), so the next listing sends requests only for new versions. A page that
needs many requests is returned in pieces; the next piece is requested while the client reads one, and stops
with it. A failed request never fails the listing: the entry then shows what LIST reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import zip_longest
from typing import Final

from s3sftp.backends.contract import Entry, FileInfo, Place, Session
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import CachedMetadata, MetadataCache, ReadPoint
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.metadata.objects import earliest_server_time
from s3sftp.errors import NotFound, PermissionDenied, StorageError
from s3sftp.runtime.concurrency import for_each
from s3sftp.telemetry import get_logger

PIECE: Final = 100
"""Maximum requests that an answer to READDIR waits for."""
_PARALLEL: Final = 32
"""Maximum requests of one listing at once; all listings of the process share `S3Client.lookups`."""
_MOST_FAILURES: Final = 5
"""Failures after which a listing sends no more requests, lest it wait for each. One refusal suffices."""

_Piece = tuple[list[Entry], list[int]]
"""Entries, and the positions of those that need a request."""
_log = get_logger("s3sftp.s3")


class ListingMetadata:
    """Completes the pages of one listing."""

    def __init__(
        self,
        client: S3Client,
        keys: KeyMapping,
        cache: MetadataCache,
        lookup: Lookup,
        place: Place,
        session: Session,
    ) -> None:
        self._client = client
        self._keys = keys
        self._cache = cache
        self._lookup = lookup
        self._place = place
        self._session = session
        self._prefix = keys.prefix_of(place)
        self._failures = 0
        self._gave_up = not client.options.keeps_times

    async def pieces(self, entries: Sequence[Entry], read_point: ReadPoint) -> AsyncGenerator[list[Entry]]:
        """Yield the entries of a page in their order; a page without entries yields once.

        `read_point` was taken before the page was requested.
        """
        pieces = self._cut(entries, read_point)
        under_way: asyncio.Task[list[Entry]] | None = None
        try:
            for piece, following in zip_longest(pieces, pieces[1:]):
                under_way = under_way or asyncio.create_task(self._complete(piece, read_point))
                done = await under_way
                under_way = asyncio.create_task(self._complete(following, read_point)) if following else None
                yield done
        finally:
            if under_way is not None:
                under_way.cancel()
                await asyncio.gather(under_way, return_exceptions=True)

    def _cut(self, entries: Sequence[Entry], read_point: ReadPoint) -> list[_Piece]:
        pieces: list[_Piece] = []
        piece: list[Entry] = []
        unknown: list[int] = []
        for entry in entries:
            known = self._known(entry, read_point)
            if known is None:
                unknown.append(len(piece))
            piece.append(known or entry)
            if len(unknown) == PIECE:
                pieces.append((piece, unknown))
                piece, unknown = [], []
        return [*pieces, (piece, unknown)] if piece or not pieces else pieces

    def _known(self, entry: Entry, read_point: ReadPoint) -> Entry | None:
        """Return the entry as STAT would show it, without a request; None if that is not known."""
        key = self._key_of(entry)
        if not self._client.options.keeps_times:
            self._record(key, entry.info, read_point)
            return entry
        info = self._cache.versions.completed(key, entry.info)
        if info is not None and not info.is_dir:
            self._record(key, info, read_point)
            return Entry(entry.name, info)
        cached = self._cache.get(key, self._session)
        if cached is not None and cached.answers and _tells_more(cached, entry.info):
            return Entry(entry.name, cached.info)
        if info is not None:
            self._record(key, info, read_point)
            return Entry(entry.name, info)
        return None

    async def _complete(self, piece: _Piece, read_point: ReadPoint) -> list[Entry]:
        entries, unknown = piece

        async def ask(position: int) -> None:
            entries[position] = await self._asked(entries[position], read_point)

        await for_each(unknown, ask, min(_PARALLEL, len(unknown)))
        return entries

    async def _asked(self, entry: Entry, read_point: ReadPoint) -> Entry:
        if self._gave_up:
            return entry
        try:
            async with self._client.lookups.slot():
                info = await (self._marker(entry, read_point) if entry.info.is_dir else self._file(entry))
        except NotFound:  # removed since the page was listed
            return entry
        except StorageError as error:
            self._failed(error)
            return entry
        return entry if info is None else Entry(entry.name, info)

    async def _marker(self, entry: Entry, read_point: ReadPoint) -> FileInfo | None:
        key = self._key_of(entry)
        info = await self._lookup.marker(self._place.child(entry.name))
        if info is not None and self._record(key, info, read_point):
            self._cache.versions.put_directory(key, info)
        return info

    def _record(self, key: str, info: FileInfo, read_point: ReadPoint) -> bool:
        """Cache an entry for the session.

        A directory's marker may be another one when STAT comes, so STAT asks for its time.
        """
        session, unknown = self._session, info.is_dir
        return self._cache.record(key, session, info, read_point, answers=True, time_unknown=unknown)

    async def _file(self, entry: Entry) -> FileInfo:
        key, listed = self._key_of(entry), entry.info
        answer = await self._lookup.head(key, self._session, answers=True)
        info = self._lookup.described(answer)
        if (info.version, info.size) == (listed.version, listed.size):
            # Some stores round the time of the upload in one of the two replies.
            self._cache.versions.put_file(key, info, listed.mtime, earliest_server_time(answer))
        return info

    def _failed(self, error: StorageError) -> None:
        self._failures += 1
        if not self._gave_up and (isinstance(error, PermissionDenied) or self._failures >= _MOST_FAILURES):
            self._gave_up = True
            _log.warning(
                "listing.mtimes_unavailable",
                prefix=self._prefix,
                error=str(error),
                detail=error.detail,
                advice="files show the time of their upload; allow s3:GetObject, or set s3.times = 'stored'",
            )

    def _key_of(self, entry: Entry) -> str:
        return self._prefix + self._keys.text_of(entry.name)


def _tells_more(cached: CachedMetadata, listed: FileInfo) -> bool:
    """Whether the cached metadata belongs to the listed version and has what a listing does not report."""
    if cached.time_unknown or cached.info.is_dir != listed.is_dir:
        return False
    return listed.is_dir or cached.info.version == listed.version
