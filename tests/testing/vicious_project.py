"""The kit on every vice: pytest runs this file by name, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from s3sftp.backends import Place
from s3sftp.testing import BackendPromises, Outside, Subject
from tests.testing.vices import VICES, Vicious


def _tests_of(vice: type[Vicious]) -> type[BackendPromises]:
    @asynccontextmanager
    async def open_storage(self: BackendPromises) -> AsyncIterator[Subject]:
        backend = vice()

        async def put(place: Place, data: bytes) -> None:
            backend.put(place.key, data)

        async def delete(place: Place) -> None:
            del backend.objects[place.key]

        async def unfinished_uploads() -> int:
            return backend.open_uploads

        yield Subject(backend, Outside(put, delete), unfinished_uploads)

    return type(f"Test{vice.__name__}", (BackendPromises,), {"open_storage": open_storage, "page_entries": 3})


for _vice in VICES:
    globals()[f"Test{_vice.__name__}"] = _tests_of(_vice)
