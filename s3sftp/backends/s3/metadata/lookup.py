"""Looks up what a name is, by HeadObject and LIST: a file, a directory or nothing."""

from __future__ import annotations

from typing import Final

from s3sftp.backends.contract import FileInfo, Place, Session
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.errors import has_status
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.http.response_body import response_body
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import CachedMetadata, Head, MetadataCache, ReadPoint
from s3sftp.backends.s3.metadata.objects import (
    directory_info_from_page,
    earliest_server_time,
    file_info_from_head,
    size_of,
    uploaded_at,
)
from s3sftp.backends.s3.requests.list_pages import first_lines
from s3sftp.errors import InvalidRequest, IsADirectory, NotADirectory, NotFound, StorageError, StorageFailure

_BEGINNINGS: Final = 20
"""How many keys that begin with a name are searched for it: names such as `a-1` come before `a/`."""


class Lookup:
    """Looks up names. Every lookup asks the store, except `recent`.

    What the session knows about a name decides which request is sent first, never the answer.
    """

    def __init__(self, client: S3Client, keys: KeyMapping, cache: MetadataCache) -> None:
        self._client = client
        self._keys = keys
        self._cache = cache

    async def recent(self, place: Place, session: Session) -> FileInfo:
        """Like `info`, but answer from the cache what the session has listed or changed a moment ago."""
        if place.is_root:
            return FileInfo.directory()
        key = self._keys.key_of(place)
        cached = self._cache.answer(key, session)
        if cached is None:
            return await self.info(place, session)
        if cached.time_unknown and cached.info.is_dir:
            return await self._ask_marker(place, key, session, cached)
        if cached.time_unknown:
            return await self._ask_time(place, key, session)
        return cached.info

    async def info(self, place: Place, session: Session, *, is_unlikely: bool = False) -> FileInfo:
        """Look up a file or directory. A key that is both counts as the file.

        A file costs one HEAD; a directory, or nothing, costs one LIST more. If the session has seen a
        directory, or changed something in it, it costs one LIST. With `is_unlikely`, when probably nothing
        exists, so does a missing name, and a file costs one LIST more.

        Raises NotFound: if there is neither.
        """
        if place.is_root:
            return FileInfo.directory()
        key = self._keys.key_of(place)
        read_point = self._cache.read_point()
        if is_unlikely or self._cache.seems_directory(key, session):
            known, info = await self._listed(key)
            if known:
                return self._found(key, session, info, read_point)
        try:
            return (await self._looked_up(key, session))[1]
        except NotFound:
            return self._found(key, session, await self._below(place), read_point)

    async def file(self, place: Place, session: Session) -> FileInfo:
        """Look up a file. Raises NotFound: if nothing exists. Raises IsADirectory: if it is a directory."""
        info = await self.info(place, session)
        if info.is_dir:
            raise IsADirectory
        return info

    async def head(self, key: str, session: Session, *, answers: bool = False) -> Answer:
        """Send a HEAD for one object and cache the reply. With `answers`, after a listing or a change by the
        session, STAT may answer from it.

        Raises NotFound: if there is no object.
        """
        return (await self._looked_up(key, session, answers=answers))[0]

    async def _looked_up(
        self, key: str, session: Session, *, answers: bool = False
    ) -> tuple[Answer, FileInfo]:
        read_point = self._cache.read_point()
        answer = await self._head(key)
        return answer, self.record(key, session, answer, read_point, answers=answers, head=answer)

    async def object(self, key: str) -> FileInfo | None:
        """Look up the object with exactly this key; None if there is none."""
        try:
            return self.described(await self._head(key))
        except NotFound:
            return None

    def record(
        self,
        key: str,
        session: Session,
        answer: Head,
        read_point: ReadPoint,
        *,
        answers: bool = False,
        head: Head | None = None,
    ) -> FileInfo:
        """Convert a reply to HEAD or GET, and cache it for requests that insist on its version."""
        info = self.described(answer)
        self._cache.record(key, session, info, read_point, answers=answers, head=head)
        self._cache.versions.put_file(key, info, uploaded_at(answer), earliest_server_time(answer))
        return info

    def described(self, answer: Head) -> FileInfo:
        """Convert a reply to HEAD or GET."""
        return file_info_from_head(answer, self._client.options)

    def known_file(self, key: str, session: Session) -> CachedMetadata | None:
        """Return a version of a file that the session knows, for a request with that version as its
        condition.

        If the store replies that the version is another one, the caller must look the file up.
        """
        cached = self._cache.get(key, session)
        may_insist = self._client.features.has(Feature.MATCHED_COPIES)
        return cached if may_insist and cached is not None and cached.info.version is not None else None

    async def is_directory(self, place: Place) -> bool:
        """Whether the name is a directory and no file, as a rename that replaces it requires."""
        return await self._below(place) is not None and await self.object(self._keys.key_of(place)) is None

    async def refuse_file(self, place: Place) -> None:
        """Report a missing directory.

        Raises NotADirectory: if the name is a file's. Raises NotFound: otherwise.
        """
        if await self.object(self._keys.key_of(place)) is not None:
            raise NotADirectory
        raise NotFound

    def _found(self, key: str, session: Session, info: FileInfo | None, read_point: ReadPoint) -> FileInfo:
        """Return what a name without an object is: a directory with its marker's time.

        Raises NotFound: if nothing.
        """
        if info is None:
            if self._cache.is_known(key, session):
                self._cache.forget(key)
            raise NotFound
        if self._cache.record(key, session, info, read_point, answers=False):
            self._cache.versions.put_directory(key, info)
        return info

    async def marker(self, place: Place) -> FileInfo | None:
        """Look up a directory with its marker's time; None if no key is below it."""
        return await self._below(place)

    async def _ask_time(self, place: Place, key: str, session: Session) -> FileInfo:
        """Look up a file that the session has just written and whose time only the store knows."""
        try:
            return (await self._looked_up(key, session, answers=True))[1]
        except NotFound:
            return await self.info(place, session)

    async def _ask_marker(self, place: Place, key: str, session: Session, cached: CachedMetadata) -> FileInfo:
        """Look up only the time of a directory from a listing, while the listing is valid."""
        found = await self._below(place)
        if found is None:
            return await self.info(place, session)
        if self._cache.record(key, session, found, cached.read_point, answers=True):
            self._cache.versions.put_directory(key, found)
        return found

    async def _head(self, key: str) -> Answer:
        answer = await self._client.call("HeadObject", Key=key)
        if "ContentLength" in answer:
            return answer
        return await self._measured(key, answer)  # as GCS omits it for what it decompresses

    async def _measured(self, key: str, head: Answer) -> Answer:
        """Get the size by a GET of the first byte, whose reply describes the object as a HEAD does. If that
        does not report the size either, take it from LIST.

        Raises StorageFailure: if neither reports the size.
        """
        try:
            answer = await self._client.call("GetObject", Key=key, Range="bytes=0-0")
        except StorageError as error:
            if not has_status(error, 416):  # a reply of 416 means that there is no first byte
                raise
        else:
            response_body(answer).close()
            if (size := size_of(answer, 1)) is not None:
                return answer | {"ContentLength": size}
        for line in await first_lines(self._client, key, 1, needed=()):
            if line["Key"] == key and line.get("Size") is not None:
                return head | {"ContentLength": line["Size"]}
        raise StorageFailure("storage does not tell the file's size")

    async def _below(self, place: Place) -> FileInfo | None:
        """Look up the directory; None if no key is below it. A marker counts as below itself."""
        try:
            prefix = self._keys.prefix_of(place)
        except InvalidRequest:  # the key has 1 024 bytes, so nothing can be below it
            return None
        lines = await first_lines(self._client, prefix, 1, needed=())
        return self._directory(lines, prefix) if lines else None

    def _directory(self, lines: list[Answer], prefix: str) -> FileInfo:
        """Describe a directory from the listing entries below it."""
        if not self._client.options.keeps_times:
            return FileInfo.directory()
        return directory_info_from_page({"Contents": lines}, prefix)

    async def _listed(self, key: str) -> tuple[bool, FileInfo | None]:
        """List the keys that begin with the name. Returns whether this decides what the name is, and what it
        is.

        A file would come first; it is left to HEAD, which alone reports metadata.
        """
        if not self._client.features.has(Feature.ANY_PREFIX):
            return False, None
        try:
            lines = await first_lines(self._client, key, _BEGINNINGS, needed=())
        except StorageError as error:
            if not has_status(error, 400, 403, 501):
                raise
            if not has_status(error, 403):  # 403 may come from a policy that allows only some prefixes
                await first_lines(self._client, f"{key}/", 1, needed=())
                self._client.features.lacks(Feature.ANY_PREFIX, error.detail)
            return False, None
        if any(line["Key"] == key for line in lines):
            return False, None
        below = [line for line in lines if line["Key"].startswith(f"{key}/")]
        if below:
            return True, self._directory(below, f"{key}/")
        return len(lines) < _BEGINNINGS, None
