"""Storages that think they are alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from s3sftp.backends import Buffer, Entry, FileInfo, Place, Session
from s3sftp.errors import NotFound
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class KnowsItsOwnFilesAlone(FaultyBackend, breaks=("test_what_somebody_else_puts_is_there",)):
    def __init__(self) -> None:
        super().__init__()
        self._written: set[bytes] = set()

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        self._written.add(place.key)
        return await super().write_file(place, data, session)

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.key in self.objects and place.key not in self._written:
            raise NotFound
        return await super().file_info(place, session)


class RemembersWhatItWrote(FaultyBackend, breaks=("test_what_somebody_else_removes_is_gone",)):
    def __init__(self) -> None:
        super().__init__()
        self._written: dict[bytes, FileInfo] = {}

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        self._written[place.key] = info = await super().write_file(place, data, session)
        return info

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        known = self._written.get(place.key)
        return known or await super().file_info(place, session)


class BelievesWhatItListed(
    FaultyBackend, breaks=("test_a_directory_is_not_removed_with_what_somebody_else_put_into_it",)
):
    """Removes a directory that was empty when it last looked."""

    def __init__(self) -> None:
        super().__init__()
        self._empty: set[bytes] = set()

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        if not self._bucket.entries(place):
            self._empty.add(place.key)
        async for page in super().list_dir(place, session):
            yield page

    async def del_dir(self, place: Place, session: Session) -> None:
        if place.key in self._empty:
            self.drop_below(place)
        else:
            await super().del_dir(place, session)
