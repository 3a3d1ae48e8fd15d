"""Storages that tell wrong things of what is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from s3sftp.backends import Buffer, Entry, FileInfo, Place, Session
from s3sftp.errors import NotFound
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class HasNoRoot(
    FaultyBackend, breaks=("test_the_root_of_an_empty_storage_is_a_directory_with_nothing_in_it",)
):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.is_root and not self.objects:
            raise NotFound
        return await super().file_info(place, session)


class ListsNothingInTheRoot(FaultyBackend, breaks=("test_the_root_lists_what_is_put_into_it",)):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        if not place.is_root:
            async for page in super().list_dir(place, session):
                yield page


class RaisesKeyError(FaultyBackend, breaks=("test_what_is_missing_is_not_found",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if not self._bucket.exists(place):
            raise KeyError(place.key)
        return await super().file_info(place, session)


class TakesAPathForTheFileAboveIt(FaultyBackend, breaks=("test_nothing_is_below_a_file",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.parent.key in self.objects:
            place = place.parent
        return await super().file_info(place, session)


class HasNoVersions(FaultyBackend, breaks=("test_a_file_has_a_size_a_time_and_a_version",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return replace(await super().file_info(place, session), version=None)


class SaysAnyVersion(FaultyBackend, breaks=("test_the_version_changes_with_the_content_and_only_then",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        info = await super().file_info(place, session)
        return info if info.is_dir else replace(info, version='"same"')


class TakesEmptyFilesForDirectories(FaultyBackend, breaks=("test_an_empty_file_is_a_file",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        info = await super().file_info(place, session)
        return info if info.size else FileInfo.directory()


class MeasuresDirectories(FaultyBackend, breaks=("test_a_directory_has_no_size_and_no_version",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        info = await super().file_info(place, session)
        return replace(info, size=4096) if info.is_dir else info


class ReturnsWhatItMeantToStore(FaultyBackend, breaks=("test_what_an_operation_returns_is_what_is_there",)):
    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        return replace(await super().write_file(place, data, session), version='"new"')


class RemembersWhatWasThere(
    FaultyBackend,
    breaks=("test_every_operation_is_seen_at_once", "test_a_name_may_be_a_file_and_then_a_directory"),
):
    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bytes, FileInfo] = {}

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.key not in self._seen:
            self._seen[place.key] = await super().file_info(place, session)
        return self._seen[place.key]


class AnswersTheLastQuestion(FaultyBackend, breaks=("test_many_questions_at_once_get_their_own_answers",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        self._asked = place
        await asyncio.sleep(0)
        return await super().file_info(self._asked, session)
