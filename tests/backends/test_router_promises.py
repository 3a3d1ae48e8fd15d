"""A router keeps every promise of the contract in each of its storages, whatever the others are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.router import StorageRouter, backend_at
from s3sftp.errors import OtherStorage, StorageFailure
from s3sftp.testing import BackendPromises, Subject
from testbed.s3_store import Store
from tests.backends.storages import in_memory, on_s3

ME = Session("alice")


class RecordingBackend(MemoryBackend):
    """Notes where it is started and stopped."""

    def __init__(self, name: str, events: list[str], fails: bool = False) -> None:
        super().__init__()
        self._named, self._events, self._fails = name, events, fails

    async def start(self) -> None:
        self._events.append(f"start {self._named}")
        if self._fails:
            raise StorageFailure

    async def stop(self) -> None:
        self._events.append(f"stop {self._named}")


def routed(subject: Subject, name: str) -> Subject:
    """The subject as the storage `name` of a router, beside one with other sizes and the same names."""
    other = MemoryBackend(chunk_bytes=11, min_chunk_bytes=2)
    storages = {"": other, name: subject.backend}
    return replace(subject, backend=StorageRouter(storages), root=Place((), name))  # type: ignore[arg-type]


class TestTheStorageWithoutAName(BackendPromises):
    page_entries = 3

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        async with in_memory() as subject:
            yield routed(subject, "")


class TestANamedStorage(BackendPromises):
    page_entries = 3

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        async with in_memory() as subject:
            yield routed(subject, "archive")


class TestANamedBucket(BackendPromises):
    page_entries = 1000
    sequences = 1

    @pytest.fixture(autouse=True)
    def _store(self, seaweed: Store) -> None:
        self.store = seaweed

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        async with on_s3(self.store, cache_seconds=0.5) as subject:
            yield routed(subject, "archive")


async def test_equal_names_in_two_storages_are_two_files() -> None:
    router = StorageRouter({"": MemoryBackend(), "archive": MemoryBackend()})
    here, there = Place((b"f",)), Place((b"f",), "archive")
    await router.write_file(here, b"one", ME)
    await router.write_file(there, b"other", ME)
    assert (await router.read_file(here, ME), await router.read_file(there, ME)) == (b"one", b"other")
    await router.delete(here, ME)
    assert (await router.file_info(there, ME)).size == 5


async def test_a_name_of_no_storage_is_an_error_and_not_another_storage() -> None:
    router = StorageRouter({"": MemoryBackend({"f": b"secret"})})
    with pytest.raises(StorageFailure):
        await router.read_file(Place((b"f",), "archive"), ME)


async def test_sizes_of_chunks_are_those_of_the_place() -> None:
    small, large = MemoryBackend(chunk_bytes=7), MemoryBackend(chunk_bytes=9)
    router = StorageRouter({"": small, "archive": large})
    assert backend_at(router, Place()).first_chunk_bytes == 7
    assert backend_at(router, Place((), "archive")).first_chunk_bytes == 9
    assert backend_at(small, Place((), "archive")) is small


async def test_a_directory_is_not_renamed_to_another_storage_and_stays() -> None:
    left = MemoryBackend({"d/f": b"data"})
    router = StorageRouter({"": left, "archive": MemoryBackend()})
    with pytest.raises(OtherStorage, match="a directory cannot be moved"):
        await router.rename(Place((b"d",)), Place((b"d",), "archive"), ME, overwrite=False)
    assert left.objects.keys() == {b"d/f"}


@pytest.mark.parametrize(
    ("fails", "events"),
    [
        (None, ["start a", "start b", "stop b", "stop a"]),
        ("b", ["start a", "start b", "stop b", "stop a"]),
        ("a", ["start a", "stop a"]),
    ],
)
async def test_what_was_started_is_stopped_if_one_fails(fails: str | None, events: Sequence[str]) -> None:
    found: list[str] = []
    router = StorageRouter({name: RecordingBackend(name, found, name == fails) for name in ("a", "b")} | {})
    try:
        await router.start()
    except StorageFailure:
        assert fails is not None
    await router.stop()
    assert found == list(events)


def test_places_of_other_storages_are_neither_equal_nor_within() -> None:
    here, there = Place((b"a", b"b")), Place((b"a", b"b"), "archive")
    assert here != there
    assert not there.is_within(Place((b"a",)))
    assert there.is_within(Place((b"a",), "archive"))
    assert there.parent == Place((b"a",), "archive")
    assert there.child(b"c").storage == "archive"
