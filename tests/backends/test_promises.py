"""Every promise of the contract, on every backend: in memory, S3 over SeaweedFS, S3 over moto."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from s3sftp.testing import BackendPromises, Subject
from s3sftp.testing.promises import SequencePromises
from s3sftp.testing.storage import Storage
from testbed.s3_store import Store
from tests.backends.storages import in_memory, on_s3

REMEMBERS_SECONDS = 0.5
"""For so long S3 is not asked again: what others change in a test is waited for as long."""


class TestMemory(BackendPromises):
    page_entries = 3

    def open_storage(self) -> AbstractAsyncContextManager[Subject]:
        return in_memory()


class S3Promises(BackendPromises):
    """On a store that dates what it stores by the second, and replies with a time of its own."""

    page_entries = 1000
    sequences = 2
    store: Store

    def open_storage(self) -> AbstractAsyncContextManager[Subject]:
        return on_s3(self.store, cache_seconds=REMEMBERS_SECONDS)

    def test_a_copy_has_the_content_and_leaves_the_source(self, storage: Storage) -> None:
        _in_one_second(super().test_a_copy_has_the_content_and_leaves_the_source, storage)

    def test_what_an_operation_returns_is_what_is_there(self, storage: Storage) -> None:
        _in_one_second(super().test_what_an_operation_returns_is_what_is_there, storage)

    def test_kept_ranges_and_new_chunks_make_one_file(self, storage: Storage) -> None:
        _in_one_second(super().test_kept_ranges_and_new_chunks_make_one_file, storage)


def _in_one_second(promise: Callable[[Storage], None], storage: Storage) -> None:
    """Check a promise about the time of a new object, once more if a second has ended meanwhile: the time in
    the store's reply and the one that it keeps may then differ by one."""
    second = int(time.time())
    try:
        promise(storage)
    except AssertionError:
        if second == int(time.time()):
            raise
        promise(storage)


class TestS3OnSeaweed(S3Promises):
    @pytest.fixture(autouse=True)
    def _store(self, seaweed: Store) -> None:
        self.store = seaweed


class TestS3OnMoto(S3Promises):
    exempt = {  # noqa: RUF012
        "test_a_write_on_a_base_that_changed_fails[removed-chunk and tail]": "moto: If-Match of Complete",
    }

    @pytest.fixture(autouse=True)
    def _store(self, moto: Store) -> None:
        self.store = moto


class TestS3ThatIsAskedEachTime(SequencePromises):
    """More sequences, as nothing has to be waited for."""

    sequences = 8
    sequence_chunk_bytes = 5 << 20

    @pytest.fixture(autouse=True)
    def _store(self, seaweed: Store) -> None:
        self.store = seaweed

    def open_storage(self) -> AbstractAsyncContextManager[Subject]:
        return on_s3(self.store, cache_seconds=0)


class TestS3ThatIsAloneAndRemembers(SequencePromises):
    """What it remembers is never older than what it did itself."""

    sequences = 8

    @pytest.fixture(autouse=True)
    def _store(self, seaweed: Store) -> None:
        self.store = seaweed

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        async with on_s3(self.store, cache_seconds=60) as subject:
            yield replace(subject, outside=None)
