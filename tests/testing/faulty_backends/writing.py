"""Storages that publish something else than was written, or before it is, or leave something behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from s3sftp.backends import Buffer, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.memory.bucket import StoredObject
from s3sftp.errors import StorageFailure
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class Appends(FaultyBackend, breaks=("test_a_file_can_be_published_at_once",)):
    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        old = self.objects[place.key].data if place.key in self.objects else b""
        return await super().write_file(place, old + bytes(data), session)


class LosesTheTail(FaultyBackend, breaks=("test_a_file_is_its_chunks_and_its_tail",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        shorter = replace(finish, size=finish.size - len(tail))
        return await super().finish_write(upload, b"", shorter, session)


class PutsChunksInAnyOrder(FaultyBackend, breaks=("test_chunks_sent_at_once_keep_their_order",)):
    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        self._delay = 10 - getattr(self, "_delay", 0)
        for _ in range(self._delay):
            await asyncio.sleep(0)
        await super().write_chunk(upload, data, session)


class KeepsTheCallersMemory(FaultyBackend, breaks=("test_a_buffer_may_be_reused_when_the_call_returns",)):
    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await super().write_chunk(upload, data, session)
        upload._pieces[-1] = data

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        info = await super().finish_write(upload, tail, finish, session)
        stored = self.objects[upload.place.key]
        self.objects[upload.place.key] = replace(stored, pieces=(*stored.pieces[:-1], tail))
        return info


class PublishesAtOnce(
    FaultyBackend,
    breaks=(
        "test_an_upload_is_invisible_until_it_is_finished",
        "test_the_old_file_stays_until_the_new_one_is_finished",
    ),
):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        self.objects[place.key] = StoredObject.of([], 0.0)
        return await super().begin_write(place, intent, session)


class PublishesOnAbort(
    FaultyBackend,
    breaks=(
        "test_an_aborted_write_leaves_nothing",
        "test_an_aborted_write_leaves_the_old_file",
        "test_a_write_can_be_aborted_while_a_chunk_is_on_its_way",
        "test_an_aborted_continuation_leaves_the_old_file",
    ),
):
    async def abort_write(self, upload: Upload, session: Session) -> None:
        pieces = [piece for piece in upload._pieces if piece]
        if not upload.ended:
            self.objects[upload.place.key] = StoredObject.of(pieces, 0.0)
        await super().abort_write(upload, session)


class AbortsOnce(FaultyBackend, breaks=("test_an_aborted_write_leaves_nothing",)):
    async def abort_write(self, upload: Upload, session: Session) -> None:
        if upload.ended:
            raise StorageFailure
        await super().abort_write(upload, session)


class LeavesUploads(FaultyBackend, breaks=("test_an_aborted_write_leaves_nothing",)):
    async def abort_write(self, upload: Upload, session: Session) -> None:
        await asyncio.sleep(0)


class PublishesWhatItGot(FaultyBackend, breaks=("test_fewer_bytes_than_announced_are_not_published",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        came = replace(finish, size=upload.held_bytes + len(tail))
        return await super().finish_write(upload, tail, came, session)


class ForgetsTheTime(FaultyBackend, breaks=("test_the_time_given_at_the_end_is_kept",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await super().finish_write(upload, tail, replace(finish, mtime=None), session)


class BelievesTheFirstTime(FaultyBackend, breaks=("test_the_time_given_at_the_end_is_the_last_word",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        first = upload.intent.mtime
        finish = finish if first is None else replace(finish, mtime=first)
        return await super().finish_write(upload, tail, finish, session)
