"""Storages that let the wrong writer win."""

from __future__ import annotations

from dataclasses import replace

from s3sftp.backends import Buffer, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.memory.bucket import MemoryBucket
from s3sftp.errors import AlreadyExists, Changed, IsADirectory
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class ExclusiveReplaces(
    FaultyBackend,
    breaks=(
        "test_an_exclusive_write_never_replaces",
        "test_of_exclusive_writers_exactly_one_wins",
        "test_an_exclusive_write_sees_what_somebody_else_put",
    ),
):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return await super().begin_write(place, replace(intent, exclusive=False), session)


class ExclusiveNeverWins(FaultyBackend, breaks=("test_an_exclusive_write_takes_a_free_name",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if upload.intent.exclusive:
            raise AlreadyExists
        return await super().finish_write(upload, tail, finish, session)


class HasOneDraftOfAName(FaultyBackend, breaks=("test_of_two_writers_one_whole_version_stays",)):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        drafts = [each for each in self.uploads if each.place == place]
        begun = await super().begin_write(place, intent, session)
        if drafts:
            begun._pieces = drafts[0]._pieces
        return begun


class BuildsOnAnything(
    FaultyBackend,
    breaks=(
        "test_a_write_on_a_base_that_changed_fails",
        "test_a_base_that_somebody_else_replaced_is_not_built_upon",
    ),
):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await super().finish_write(upload, tail, replace(finish, base_kept=False), session)


class BuildsOnNothing(FaultyBackend, breaks=("test_a_write_on_a_base_replaces_it",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if upload.intent.base is not None:
            raise Changed
        return await super().finish_write(upload, tail, finish, session)


class InsistsOnTheBase(FaultyBackend, breaks=("test_a_write_that_keeps_nothing_of_its_base_replaces_any",)):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await super().finish_write(upload, tail, replace(finish, base_kept=True), session)


class HidesDirectories(
    FaultyBackend,
    breaks=(
        "test_a_file_does_not_hide_a_directory",
        "test_a_file_does_not_hide_a_directory_that_came_meanwhile",
        "test_the_root_is_no_file",
    ),
):
    def __init__(self) -> None:
        super().__init__()
        self._bucket = HidingBucket()


class HidesFiles(FaultyBackend, breaks=("test_a_file_is_not_put_below_a_file",)):
    def __init__(self) -> None:
        super().__init__()
        self._bucket = UnreachableBucket()


class HidingBucket(MemoryBucket):
    def refuse_file(self, place: Place) -> None:
        pass


class UnreachableBucket(MemoryBucket):
    def refuse_file(self, place: Place) -> None:
        if self.is_directory(place):
            raise IsADirectory
