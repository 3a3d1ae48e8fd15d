"""Storages with one vice each, named for it, and the promises that each breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from s3sftp.backends import Buffer, Entry, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.memory.bucket import StoredObject
from s3sftp.errors import Changed, NotFound, StorageFailure


class Vicious(MemoryBackend):
    """The storage in memory, with chunks so small that every border is crossed."""

    def __init__(self) -> None:
        super().__init__(chunk_bytes=7, min_chunk_bytes=3, parallel_chunks=3, page_entries=3, read_bytes=5000)


class HasNoRoot(Vicious):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.is_root and not self.objects:
            raise NotFound
        return await super().file_info(place, session)


class RaisesKeyError(Vicious):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if not self._bucket.exists(place):
            raise KeyError(place.key)
        return await super().file_info(place, session)


class SaysAnyVersion(Vicious):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        info = await super().file_info(place, session)
        return info if info.is_dir else replace(info, version='"same"')


class RemembersWhatWasThere(Vicious):
    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bytes, FileInfo] = {}

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.key not in self._seen:
            self._seen[place.key] = await super().file_info(place, session)
        return self._seen[place.key]


class ListsDotDot(Vicious):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(b".", FileInfo.directory()), Entry(b"..", FileInfo.directory())]
        async for page in super().list_dir(place, session):
            yield page


class ListsOnePage(Vicious):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        async for page in super().list_dir(place, session):
            yield page
            return


class RemovesWhatIsInside(Vicious):
    async def del_dir(self, place: Place, session: Session) -> None:
        if (await self.file_info(place, session)).is_dir:
            for key in [key for key in self.objects if key.startswith(place.key + b"/")]:
                del self.objects[key]
            return
        await super().del_dir(place, session)


class TakesPrefixesForNames(Vicious):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=overwrite)
        for key in [key for key in self.objects if key.startswith(source.key)]:
            self.objects[target.key + key.removeprefix(source.key)] = self.objects.pop(key)


class RenameOverwrites(Vicious):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=True)


class LosesTheTree(Vicious):
    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await super().rename(source, target, session, overwrite=overwrite)
        for key in [key for key in self.objects if key.startswith(target.key + b"/") and key.endswith(b"/")]:
            del self.objects[key]


class ShortRead(Vicious):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        async for piece in super().read_file_range(place, start, max(start, stop - 1), version, session):
            yield piece


class ReadsAnyVersion(Vicious):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        async for piece in super().read_file_range(place, start, stop, None, session):
            yield piece


class TakesGoneForTheEnd(Vicious):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        if place.key in self.objects:
            async for piece in super().read_file_range(place, start, stop, version, session):
                yield piece


class LosesTheTail(Vicious):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        shorter = replace(finish, size=finish.size - len(tail))
        return await super().finish_write(upload, b"", shorter, session)


class KeepsTheCallersMemory(Vicious):
    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        await super().write_chunk(upload, data, session)
        upload._pieces[-1] = data  # type: ignore[attr-defined]

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        info = await super().finish_write(upload, tail, finish, session)
        stored = self.objects[upload.place.key]  # type: ignore[attr-defined]
        self.objects[upload.place.key] = replace(stored, pieces=(*stored.pieces[:-1], tail))  # type: ignore
        return info


class PublishesAtOnce(Vicious):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        self.objects[place.key] = StoredObject.of([], 0.0)
        return await super().begin_write(place, intent, session)


class PublishesOnAbort(Vicious):
    async def abort_write(self, upload: Upload, session: Session) -> None:
        pieces = [piece for piece in upload._pieces if piece]  # type: ignore[attr-defined]
        if not upload.ended:  # type: ignore[attr-defined]
            self.objects[upload.place.key] = StoredObject.of(pieces, 0.0)  # type: ignore[attr-defined]
        await super().abort_write(upload, session)


class AbortsOnce(Vicious):
    async def abort_write(self, upload: Upload, session: Session) -> None:
        if upload.ended:  # type: ignore[attr-defined]
            raise StorageFailure
        await super().abort_write(upload, session)


class LeavesUploads(Vicious):
    async def abort_write(self, upload: Upload, session: Session) -> None:
        await asyncio.sleep(0)


class ForgetsTheTime(Vicious):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await super().finish_write(upload, tail, replace(finish, mtime=None), session)


class ExclusiveReplaces(Vicious):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        return await super().begin_write(place, replace(intent, exclusive=False), session)


class BuildsOnAnything(Vicious):
    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        return await super().finish_write(upload, tail, replace(finish, base_kept=False), session)


class CopiesAnyVersion(Vicious):
    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        return await super().copy(source, target, session, version=None)


class SaysThatItSetTheTime(Vicious):
    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        await super().set_mtime(place, mtime + 5, session)
        return True


class KeepsTheWrongBytes(Vicious):
    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        await super().keep_range(upload, start, stop, session)
        upload._pieces[-1] = bytes(stop - start)  # type: ignore[attr-defined]


class StripsNames(Vicious):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        async for page in super().list_dir(place, session):
            yield [replace(entry, name=entry.name.strip()) for entry in page]


class BelievesWhatItListed(Vicious):
    """Removes a directory that was empty when it last looked."""

    def __init__(self) -> None:
        super().__init__()
        self._empty: set[bytes] = set()

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        entries = self._bucket.entries(place)
        if not entries:
            self._empty.add(place.key)
        async for page in super().list_dir(place, session):
            yield page

    async def del_dir(self, place: Place, session: Session) -> None:
        if place.key in self._empty:
            for key in [key for key in self.objects if key.startswith(place.key + b"/")]:
                del self.objects[key]
            return
        await super().del_dir(place, session)


class KnowsOneUser(Vicious):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        if session.user != "alice":
            raise Changed
        async for page in super().list_dir(place, session):
            yield page


VICES: dict[type[Vicious], tuple[str, ...]] = {
    HasNoRoot: ("test_the_root_of_an_empty_storage_is_a_directory_with_nothing_in_it",),
    RaisesKeyError: ("test_what_is_missing_is_not_found",),
    SaysAnyVersion: ("test_the_version_changes_with_the_content_and_only_then",),
    RemembersWhatWasThere: (
        "test_every_operation_is_seen_at_once",
        "test_a_name_may_be_a_file_and_then_a_directory",
    ),
    ListsDotDot: (
        "test_an_empty_directory_lists_nothing",
        "test_a_listing_shows_each_child_once_and_nothing_deeper",
    ),
    ListsOnePage: ("test_a_listing_of_several_pages_is_complete",),
    RemovesWhatIsInside: ("test_a_directory_with_something_in_it_stays",),
    TakesPrefixesForNames: (
        "test_renaming_a_directory_touches_no_other_name",
        "test_renaming_a_file_touches_no_other_name",
    ),
    RenameOverwrites: ("test_renaming_onto_a_file_replaces_it_only_when_told_to",),
    LosesTheTree: ("test_a_renamed_directory_takes_its_tree_along", "test_an_empty_directory_can_be_renamed"),
    ShortRead: ("test_a_range_is_exact_at_every_border", "test_a_file_is_read_as_it_was_written"),
    ReadsAnyVersion: (
        "test_a_reader_that_insists_on_a_version_gets_no_other",
        "test_a_file_that_somebody_else_replaced_is_another_version",
    ),
    TakesGoneForTheEnd: ("test_a_file_removed_while_it_is_read_is_no_end_of_file",),
    LosesTheTail: ("test_a_file_is_its_chunks_and_its_tail",),
    KeepsTheCallersMemory: ("test_a_buffer_may_be_reused_when_the_call_returns",),
    PublishesAtOnce: (
        "test_an_upload_is_invisible_until_it_is_finished",
        "test_the_old_file_stays_until_the_new_one_is_finished",
    ),
    PublishesOnAbort: (
        "test_an_aborted_write_leaves_nothing",
        "test_an_aborted_write_leaves_the_old_file",
        "test_a_write_can_be_aborted_while_a_chunk_is_on_its_way",
    ),
    AbortsOnce: ("test_an_aborted_write_leaves_nothing",),
    LeavesUploads: ("test_an_aborted_write_leaves_nothing",),
    ForgetsTheTime: (
        "test_the_time_given_at_the_end_is_kept",
        "test_a_renamed_file_keeps_the_time_it_was_given",
    ),
    ExclusiveReplaces: (
        "test_an_exclusive_write_never_replaces",
        "test_of_exclusive_writers_exactly_one_wins",
        "test_an_exclusive_write_sees_what_somebody_else_put",
    ),
    BuildsOnAnything: (
        "test_a_write_on_a_base_that_changed_fails",
        "test_a_base_that_somebody_else_replaced_is_not_built_upon",
    ),
    CopiesAnyVersion: ("test_a_copy_of_a_file_that_changed_is_refused",),
    SaysThatItSetTheTime: ("test_a_time_that_is_said_to_be_set_is_set",),
    KeepsTheWrongBytes: ("test_a_file_can_be_continued", "test_a_file_can_be_cut"),
    StripsNames: ("test_a_file_may_have_an_odd_name", "test_odd_names_are_all_different"),
    BelievesWhatItListed: ("test_a_directory_is_not_removed_with_what_somebody_else_put_into_it",),
    KnowsOneUser: ("test_another_session_sees_what_one_has_done", "test_no_session_is_too_odd"),
}
"""For each vice the promises that must find it."""
