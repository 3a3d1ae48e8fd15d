"""Every promise of the contract on a storage with tenants, and that of those who must see nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from s3sftp.testing import BackendPromises, Subject
from tests.testing.tenant_storage import STRANGER, Tenants


class TestTenants(BackendPromises):
    stranger = STRANGER
    page_entries = 3

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        backend = Tenants(chunk_bytes=7, min_chunk_bytes=3, parallel_chunks=3, page_entries=3)

        async def unfinished_uploads() -> int:
            return backend.open_uploads

        yield Subject(backend, unfinished_uploads=unfinished_uploads)
