"""Storages that list, make or remove too much or too little."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace

from s3sftp.backends import Amount, Entry, FileInfo, Place, Session
from s3sftp.errors import AlreadyExists, NotADirectory
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class ListsDotDot(
    FaultyBackend,
    breaks=(
        "test_an_empty_directory_lists_nothing",
        "test_a_listing_shows_each_child_once_and_nothing_deeper",
    ),
):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(b".", FileInfo.directory()), Entry(b"..", FileInfo.directory())]
        async for page in super().list_dir(place, session):
            yield page


class ListsOnePage(FaultyBackend, breaks=("test_a_listing_of_several_pages_is_complete",)):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        async for page in super().list_dir(place, session):
            yield page
            return


class ListsWithoutSizes(FaultyBackend, breaks=("test_a_listing_says_of_each_file_what_file_info_says",)):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        async for page in super().list_dir(place, session):
            yield [Entry(entry.name, replace(entry.info, size=0)) for entry in page]


class ListsByPrefix(FaultyBackend, breaks=("test_a_listing_knows_whole_names_only",)):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        for entry in self._bucket.entries(place.parent):
            if entry.info.is_dir and entry.name.startswith(place.name):
                async for page in super().list_dir(place.parent.child(entry.name), session):
                    yield page


class CountsNeighbours(FaultyBackend, breaks=("test_everything_below_a_directory_is_counted",)):
    async def total_below(self, place: Place, session: Session) -> Amount:
        sizes = [each.size for key, each in self.objects.items() if key.startswith(place.key)]
        return Amount(sum(sizes), len(sizes))


class GoesOnWhereALeaverStopped(FaultyBackend, breaks=("test_a_listing_can_be_left_early",)):
    def __init__(self) -> None:
        super().__init__()
        self._pages: dict[bytes, int] = {}

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        pages = [page async for page in super().list_dir(place, session)]
        for number in range(self._pages.get(place.key, 0), len(pages)):
            self._pages[place.key] = number + 1
            yield pages[number]
        self._pages[place.key] = 0


class ListsAFileAsNothing(FaultyBackend, breaks=("test_a_file_cannot_be_listed",)):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        with suppress(NotADirectory):
            async for page in super().list_dir(place, session):
                yield page


class StripsNames(
    FaultyBackend,
    breaks=(
        "test_a_file_may_have_an_odd_name",
        "test_a_directory_may_have_an_odd_name",
        "test_odd_names_are_all_different",
    ),
):
    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        async for page in super().list_dir(place, session):
            yield [replace(entry, name=entry.name.strip()) for entry in page]


class MakesNothing(FaultyBackend, breaks=("test_a_directory_can_be_made_and_removed",)):
    async def make_dir(self, place: Place, session: Session) -> None:
        pass


class MakesWhatIsThere(FaultyBackend, breaks=("test_a_directory_cannot_take_a_name_that_is_taken",)):
    async def make_dir(self, place: Place, session: Session) -> None:
        with suppress(AlreadyExists):
            await super().make_dir(place, session)


class TidiesUp(FaultyBackend, breaks=("test_a_directory_that_was_made_outlives_its_last_file",)):
    async def delete(self, place: Place, session: Session) -> None:
        await super().delete(place, session)
        if not self._bucket.entries(place.parent):
            self.drop_below(place.parent)


class RemovesWhatIsInside(FaultyBackend, breaks=("test_a_directory_with_something_in_it_stays",)):
    async def del_dir(self, place: Place, session: Session) -> None:
        if self._bucket.file_info(place).is_dir:
            self.drop_below(place)
        else:
            await super().del_dir(place, session)


class RemovesDirectoriesByPrefix(FaultyBackend, breaks=("test_removing_a_directory_touches_no_other_name",)):
    async def del_dir(self, place: Place, session: Session) -> None:
        await super().del_dir(place, session)
        for key in [key for key in self.objects if key.startswith(place.key)]:
            del self.objects[key]


class RemovesAFileAsADirectory(FaultyBackend, breaks=("test_a_file_is_not_removed_as_a_directory",)):
    async def del_dir(self, place: Place, session: Session) -> None:
        if self.objects.pop(place.key, None) is None:
            await super().del_dir(place, session)


class DeletesNothing(FaultyBackend, breaks=("test_a_removed_file_is_gone",)):
    async def delete(self, place: Place, session: Session) -> None:
        self._bucket.file(place)


class DeletesFilesByPrefix(FaultyBackend, breaks=("test_removing_a_file_touches_no_other_name",)):
    async def delete(self, place: Place, session: Session) -> None:
        await super().delete(place, session)
        for key in [key for key in self.objects if key.startswith(place.key)]:
            del self.objects[key]


class DeletesADirectoryAsAFile(FaultyBackend, breaks=("test_a_directory_is_not_removed_as_a_file",)):
    async def delete(self, place: Place, session: Session) -> None:
        if self._bucket.file_info(place).is_dir:
            self.drop_below(place)
        else:
            await super().delete(place, session)
