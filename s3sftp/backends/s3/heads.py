"""HeadObject, and what a name is: a file, a directory or nothing."""

from __future__ import annotations

from dataclasses import replace

from s3sftp.backends.contract import FileInfo, Place
from s3sftp.backends.s3.cache import Fact, Facts, Head, Ticket
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.failures import has_status
from s3sftp.backends.s3.keys import Keys
from s3sftp.backends.s3.list_pages import beginning
from s3sftp.backends.s3.objects import info_of_head, marker_of, size_of, time_of, uploaded_at
from s3sftp.backends.s3.received import body_of
from s3sftp.errors import InvalidRequest, IsADirectory, NotADirectory, NotFound, StorageError, StorageFailure


class Heads:
    """Looks names up: known facts first, then one HEAD, then one LIST."""

    def __init__(self, store: Store, keys: Keys, facts: Facts) -> None:
        self._store = store
        self._keys = keys
        self._facts = facts

    async def head(self, key: str) -> Answer:
        """What the store says of one object, and keep it as a fact. Raises NotFound."""
        ticket = self._facts.ticket(key)
        answer = await self._store.call("HeadObject", Key=key)
        if "ContentLength" not in answer:  # such as GCS says of what it unpacks on its way
            answer = await self._measured(key, answer)
        self.learn(key, answer, ticket)
        return answer

    def learn(self, key: str, answer: Head, ticket: Ticket) -> FileInfo:
        """What an answer to HEAD or GET says of an object; keep it as a fact."""
        info = self.described(answer)
        if self._facts.learn(key, info, ticket):
            uploaded, told = uploaded_at(answer), time_of(answer)
            self._facts.lasting.keep_file(key, info, uploaded, ticket.generation, told)
        return info

    def described(self, answer: Head) -> FileInfo:
        """What an answer to HEAD or GET says of an object."""
        return info_of_head(answer, modes=self._store.options.keeps_modes)

    async def object(self, key: str) -> FileInfo | None:
        """The object of exactly this key, asked for now; None when there is none."""
        try:
            return self.described(await self.head(key))
        except NotFound:
            return None

    async def info(self, place: Place) -> FileInfo:
        """A file or directory. Where a key is both, it is the file. Raises NotFound."""
        if place.is_root:
            return FileInfo.directory()
        key = self._keys.key_of(place)
        fact = self._facts.get(key)
        if fact is None:
            info = await self._look_up(place, key)
        elif fact.time_unknown:
            info = await self._ask_marker(place, key, fact)
        else:
            info = fact.info
        if info is None:
            raise NotFound
        return info

    async def is_directory(self, place: Place) -> bool:
        """Whether the name is a directory's, and no file's: what is needed to replace it."""
        fact = self._facts.get(self._keys.key_of(place))
        if fact is not None:
            return fact.info is not None and fact.info.is_dir
        return await self._below(place) is not None and (await self.info(place)).is_dir

    async def file(self, place: Place) -> FileInfo:
        """A file. Raises NotFound, IsADirectory."""
        info = await self.info(place)
        if info.is_dir:
            raise IsADirectory
        return info

    async def refuse_file(self, place: Place) -> None:
        """Raise NotADirectory when the name is a file's, else NotFound: for a directory that is not there."""
        key = self._keys.key_of(place)
        fact = self._facts.get(key)
        info = await self.object(key) if fact is None else fact.info
        if info is not None and not info.is_dir:
            raise NotADirectory
        raise NotFound

    async def _look_up(self, place: Place, key: str) -> FileInfo | None:
        ticket = self._facts.ticket(key)
        info = await self.object(key)
        if info is None:
            return await self._directory(place, key, ticket)
        return info

    async def _directory(self, place: Place, key: str, ticket: Ticket) -> FileInfo | None:
        """What a name that is no object's is: a directory with its marker's time, or nothing.

        `ticket` is from before the object was asked for.
        """
        found = await self._below(place)
        if self._facts.learn(key, found, ticket):
            self._facts.lasting.keep_directory(key, found or FileInfo.directory())
        return found

    async def _ask_marker(self, place: Place, key: str, fact: Fact) -> FileInfo | None:
        """The same of what a listing has told to be a directory: as long as that is believed, only its time
        is asked for."""
        ticket = replace(self._facts.ticket(key), moment=fact.since)
        found = await self._below(place)
        if found is None:
            return await self._look_up(place, key)
        if self._facts.learn(key, found, ticket):
            self._facts.lasting.keep_directory(key, found)
        return found

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
            body_of(answer).close()
            if (size := size_of(answer, 1)) is not None:
                return answer | {"ContentLength": size}
        for line in await beginning(self._store, key, 1, needed=()):
            if line["Key"] == key and line.get("Size") is not None:
                return head | {"ContentLength": line["Size"]}
        raise StorageFailure("storage does not tell the file's size")

    async def _below(self, place: Place) -> FileInfo | None:
        """The directory, if any key is below; a marker is below itself."""
        try:
            prefix = self._keys.prefix_of(place)
        except InvalidRequest:  # the key has 1 024 bytes: nothing can be below it
            return None
        lines = await beginning(self._store, prefix, 1, needed=())
        return marker_of({"Contents": lines}, prefix) if lines else None
