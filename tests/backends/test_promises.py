"""Every promise of the contract, on every backend: in memory, S3 over SeaweedFS, S3 over moto."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from s3sftp.testing import BackendPromises, Subject
from tests.backends.storages import in_memory, on_s3
from tests.support.store import Store


class TestMemory(BackendPromises):
    page_entries = 3

    def open_storage(self) -> AbstractAsyncContextManager[Subject]:
        return in_memory()


class TestS3OnSeaweed(BackendPromises):
    page_entries = 1000

    @pytest.fixture(autouse=True)
    def _store(self, seaweed: Store) -> None:
        self.store = seaweed

    def open_storage(self) -> AbstractAsyncContextManager[Subject]:
        return on_s3(self.store)


class TestS3OnMoto(BackendPromises):
    page_entries = 1000
    exempt = {  # noqa: RUF012
        "test_a_write_on_a_base_that_changed_fails[removed-chunk and tail]": "moto: If-Match of Complete",
    }

    @pytest.fixture(autouse=True)
    def _store(self, moto: Store) -> None:
        self.store = moto

    def open_storage(self) -> AbstractAsyncContextManager[Subject]:
        return on_s3(self.store)
