"""Storages that keep the wrong bytes of the old file."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from s3sftp.backends import Buffer, FileInfo, Finish, Session, Upload
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class KeepsTheWrongBytes(
    FaultyBackend,
    breaks=(
        "test_a_file_can_be_continued",
        "test_a_file_can_be_cut",
        "test_kept_ranges_and_new_chunks_make_one_file",
    ),
):
    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await super().keep_range(upload, start, stop, session)
        upload._pieces[-1] = bytes(stop - start)


class PutsKeptRangesLast(FaultyBackend, breaks=("test_ranges_kept_at_once_keep_their_order",)):
    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await asyncio.sleep(0)
        await super().keep_range(upload, start, stop, session)


class KeepsBytesOfAnyVersion(FaultyBackend, breaks=("test_bytes_of_a_file_that_changed_are_not_kept",)):
    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        present = self.objects[upload.place.key]
        upload.intent = replace(upload.intent, base=present.info)
        await super().keep_range(upload, start, stop, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await super().finish_write(upload, tail, replace(finish, base_kept=False), session)
