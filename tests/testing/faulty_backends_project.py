"""The kit on every vice, each with the promises that it breaks: pytest runs this file by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from s3sftp.backends import Place
from s3sftp.testing import BackendPromises, Outside, Subject
from tests.testing.faulty_backends import HIDDEN, VICES, FaultyBackend
from tests.testing.tenant_storage import STRANGER, Tenants

PROMISES = [name for name in dir(BackendPromises) if name.startswith("test_")]


def _promises_for(vice: type[FaultyBackend]) -> type[BackendPromises]:
    """A class for pytest: unless the vice is to be hidden from the others, with what it is to break alone."""

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

    told = {
        "open_storage": open_storage,
        "page_entries": 3,
        "limit_seconds": 5,
        "sequences": 100,
        "shorten": False,
    }
    if issubclass(vice, Tenants):
        told["stranger"] = STRANGER
    if vice not in HIDDEN:
        told |= dict.fromkeys(name for name in PROMISES if name not in VICES[vice])
    return type(f"Test{vice.__name__}", (BackendPromises,), told)


for _vice in VICES:
    globals()[f"Test{_vice.__name__}"] = _promises_for(_vice)
