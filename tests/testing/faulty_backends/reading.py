"""Storages that answer readers with other bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from s3sftp.backends import Buffer, Place, Session
from s3sftp.errors import Busy
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class ShortRead(
    FaultyBackend, breaks=("test_a_range_is_exact_at_every_border", "test_a_file_is_read_as_it_was_written")
):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        async for piece in super().read_file_range(place, start, max(start, stop - 1), version, session):
            yield piece


class EndsWithTheChunk(FaultyBackend, breaks=("test_a_range_is_exact_around_the_border_of_two_chunks",)):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        async for piece in super().read_file_range(place, start, stop, version, session):
            yield piece
            return


class HasOneReadPosition(FaultyBackend, breaks=("test_ranges_can_be_read_at_once",)):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        self._at = start
        await asyncio.sleep(0)
        async for piece in super().read_file_range(place, self._at, self._at + stop - start, None, session):
            yield piece


class StaysBusyWhenAReaderLeaves(FaultyBackend, breaks=("test_a_reader_can_leave_early",)):
    def __init__(self) -> None:
        super().__init__()
        self._is_read: set[bytes] = set()

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        if place.key in self._is_read:
            raise Busy
        self._is_read.add(place.key)
        async for piece in super().read_file_range(place, start, stop, version, session):
            yield piece
        self._is_read.discard(place.key)


class ReadsAnyVersion(
    FaultyBackend,
    breaks=(
        "test_a_reader_that_insists_on_a_version_gets_no_other",
        "test_a_file_that_somebody_else_replaced_is_another_version",
    ),
):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        async for piece in super().read_file_range(place, start, stop, None, session):
            yield piece


class MixesVersions(FaultyBackend, breaks=("test_a_file_replaced_while_it_is_read_is_never_mixed",)):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        self._bucket.at_version(place, version)
        for at in range(start, stop, 5000):
            yield self.objects[place.key].data[at : min(at + 5000, stop)]


class TakesGoneForTheEnd(FaultyBackend, breaks=("test_a_file_removed_while_it_is_read_is_no_end_of_file",)):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        if place.key in self.objects:
            async for piece in super().read_file_range(place, start, stop, version, session):
                yield piece


class ReadsAsFarAsThereIs(FaultyBackend, breaks=("test_a_range_beyond_a_file_that_shrank_is_an_error",)):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        yield self._bucket.file(place).data[start:stop]


class ReadsADirectoryAsNothing(FaultyBackend, breaks=("test_a_directory_cannot_be_read",)):
    async def read_file(self, place: Place, session: Session) -> bytes:
        return b"" if self._bucket.file_info(place).is_dir else await super().read_file(place, session)
