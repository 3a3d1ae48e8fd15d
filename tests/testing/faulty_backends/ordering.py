"""Storages on which only what comes in order is right."""

from __future__ import annotations

from collections.abc import AsyncIterator

from s3sftp.backends import Buffer, FileInfo, Finish, Place, Session, Upload
from s3sftp.backends.memory.bucket import StoredObject
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class SwapsChunks(FaultyBackend, breaks=("test_writes_in_any_order_become_the_file",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        upload._pieces.reverse()
        return await super().finish_write(upload, tail, finish, session)


class PublishesEachChunk(FaultyBackend, breaks=("test_writes_that_leave_a_hole_are_not_published",)):
    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await super().write_chunk(upload, data, session)
        pieces = [piece for piece in upload._pieces if piece]
        self.objects[upload.place.key] = StoredObject.of(pieces, self._clock())


class ReadsOnWhereTheLastReaderStopped(FaultyBackend, breaks=("test_reads_in_any_order_get_their_bytes",)):
    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        data = self._bucket.at_version(place, version).data
        yield (data[self._at :] + data)[: stop - start]
        self._at = stop
