"""HeadObject, and what a name is: a file, a directory or nothing."""

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
"""How many keys that begin with a name are looked through for it: names such as `a-1` come before `a/`."""


class Lookup:
    """Looks names up: the store is asked each time, but for `recent`.

    What the session knows of a name decides which request is sent first, never what is said.
    """

    def __init__(self, store: S3Client, keys: KeyMapping, facts: MetadataCache) -> None:
        self._store = store
        self._keys = keys
        self._facts = facts

    async def recent(self, place: Place, session: Session) -> FileInfo:
        """As `info`; but what the session has listed or changed a moment ago is not asked for again."""
        if place.is_root:
            return FileInfo.directory()
        key = self._keys.key_of(place)
        fact = self._facts.get(key, session)
        if fact is None or not fact.answers:
            return await self.info(place, session)
        if fact.time_unknown and fact.info.is_dir:
            return await self._ask_marker(place, key, session, fact)
        if fact.time_unknown:
            return await self._ask_time(place, key, session)
        return fact.info

    async def info(self, place: Place, session: Session, *, is_unlikely: bool = False) -> FileInfo:
        """A file or directory. Where a key is both, it is the file. Raises NotFound.

        A file is one HEAD; a directory, or nothing, one LIST more. What the session saw as a directory is one
        LIST, and so is nothing where it `is_unlikely` that anything is there; a file then is one LIST more.
        """
        if place.is_root:
            return FileInfo.directory()
        key = self._keys.key_of(place)
        fact = self._facts.get(key, session)
        moment = self._facts.moment()
        if is_unlikely or (fact is not None and fact.info.is_dir):
            known, info = await self._listed(key)
            if known:
                return self._found(key, session, info, moment)
        try:
            return self.described(await self.head(key, session))
        except NotFound:
            return self._found(key, session, await self._below(place), moment)

    async def file(self, place: Place, session: Session) -> FileInfo:
        """A file. Raises NotFound, IsADirectory."""
        info = await self.info(place, session)
        if info.is_dir:
            raise IsADirectory
        return info

    async def head(self, key: str, session: Session, *, answers: bool = False) -> Answer:
        """What the store says of one object; `answers`: for a listing or a change of the session's own, so
        that STAT may say it again. Raises NotFound."""
        moment = self._facts.moment()
        answer = await self._head(key)
        self.learn(key, session, answer, moment, answers=answers, head=answer)
        return answer

    async def object(self, key: str) -> FileInfo | None:
        """The object of exactly this key; None when there is none."""
        try:
            return self.described(await self._head(key))
        except NotFound:
            return None

    def learn(
        self,
        key: str,
        session: Session,
        answer: Head,
        moment: ReadPoint,
        *,
        answers: bool = False,
        head: Head | None = None,
    ) -> FileInfo:
        """What an answer to HEAD or GET says of an object; kept for requests that insist on its version."""
        info = self.described(answer)
        self._facts.learn(key, session, info, moment, answers=answers, head=head)
        self._facts.versions.keep_file(key, info, uploaded_at(answer), earliest_server_time(answer))
        return info

    def described(self, answer: Head) -> FileInfo:
        """What an answer to HEAD or GET says of an object."""
        return file_info_from_head(answer, self._store.options)

    def known_file(self, key: str, session: Session) -> CachedMetadata | None:
        """A version of a file that the session knows of, for a request that insists on it; whoever is told
        then that it is another one by now asks the store."""
        fact = self._facts.get(key, session)
        may_insist = self._store.features.has(Feature.MATCHED_COPIES)
        return fact if may_insist and fact is not None and fact.info.version is not None else None

    async def is_directory(self, place: Place) -> bool:
        """Whether the name is a directory's, and no file's: what is needed to replace it."""
        return await self._below(place) is not None and await self.object(self._keys.key_of(place)) is None

    async def refuse_file(self, place: Place) -> None:
        """Raise NotADirectory when the name is a file's, else NotFound: for a directory that is not there."""
        if await self.object(self._keys.key_of(place)) is not None:
            raise NotADirectory
        raise NotFound

    def _found(self, key: str, session: Session, info: FileInfo | None, moment: ReadPoint) -> FileInfo:
        """What a name that is no object's is: a directory with its marker's time, or nothing."""
        if info is None:
            if self._facts.get(key, session) is not None:
                self._facts.forget(key)
            raise NotFound
        if self._facts.learn(key, session, info, moment, answers=False):
            self._facts.versions.keep_directory(key, info)
        return info

    async def marker(self, place: Place) -> FileInfo | None:
        """A directory with its marker's time; None when nothing is below it."""
        return await self._below(place)

    async def _ask_time(self, place: Place, key: str, session: Session) -> FileInfo:
        """What the session has just written, of which the store alone knows the time."""
        try:
            return self.described(await self.head(key, session, answers=True))
        except NotFound:
            return await self.info(place, session)

    async def _ask_marker(self, place: Place, key: str, session: Session, fact: CachedMetadata) -> FileInfo:
        """What a listing has told to be a directory: as long as that is believed, only its time is asked
        for."""
        found = await self._below(place)
        if found is None:
            return await self.info(place, session)
        if self._facts.learn(key, session, found, fact.moment, answers=True):
            self._facts.versions.keep_directory(key, found)
        return found

    async def _head(self, key: str) -> Answer:
        answer = await self._store.call("HeadObject", Key=key)
        if "ContentLength" in answer:
            return answer
        return await self._measured(key, answer)  # such as GCS says of what it unpacks on its way

    async def _measured(self, key: str, head: Answer) -> Answer:
        """What the answer to a GET of the first byte says of the object, as a HEAD does. Where that does not
        tell the size: what HEAD said, with the size that LIST tells. Raises StorageFailure when nothing does.
        """
        try:
            answer = await self._store.call("GetObject", Key=key, Range="bytes=0-0")
        except StorageError as error:
            if not has_status(error, 416):  # it has no first byte
                raise
        else:
            response_body(answer).close()
            if (size := size_of(answer, 1)) is not None:
                return answer | {"ContentLength": size}
        for line in await first_lines(self._store, key, 1, needed=()):
            if line["Key"] == key and line.get("Size") is not None:
                return head | {"ContentLength": line["Size"]}
        raise StorageFailure("storage does not tell the file's size")

    async def _below(self, place: Place) -> FileInfo | None:
        """The directory, if any key is below; a marker is below itself."""
        try:
            prefix = self._keys.prefix_of(place)
        except InvalidRequest:  # the key has 1 024 bytes: nothing can be below it
            return None
        lines = await first_lines(self._store, prefix, 1, needed=())
        return self._directory(lines, prefix) if lines else None

    def _directory(self, lines: list[Answer], prefix: str) -> FileInfo:
        """A directory, out of the lines of what is below it."""
        if not self._store.options.keeps_times:
            return FileInfo.directory()
        return directory_info_from_page({"Contents": lines}, prefix)

    async def _listed(self, key: str) -> tuple[bool, FileInfo | None]:
        """What a listing of all that begins with the name tells: whether that decides what it is, and what.

        A file would come first, and its metadata is for HEAD to tell.
        """
        if not self._store.features.has(Feature.ANY_PREFIX):
            return False, None
        try:
            lines = await first_lines(self._store, key, _BEGINNINGS, needed=())
        except StorageError as error:
            if not has_status(error, 400, 403, 501):
                raise
            if not has_status(error, 403):  # which a policy says that allows to list some prefixes alone
                await first_lines(self._store, f"{key}/", 1, needed=())
                self._store.features.lacks(Feature.ANY_PREFIX, error.detail)
            return False, None
        if any(line["Key"] == key for line in lines):
            return False, None
        below = [line for line in lines if line["Key"].startswith(f"{key}/")]
        if below:
            return True, self._directory(below, f"{key}/")
        return len(lines) < _BEGINNINGS, None
