"""A storage in memory with a world for each tenant."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any

from s3sftp.backends import Amount, Entry, FileInfo, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.operations import OPERATIONS, Operation
from s3sftp.errors import NotFound

STRANGER = Session("mallory", attributes={"tenant": "two"})


class Tenants(MemoryBackend):
    """A directory for each tenant: the one that authentication says of the session, and no other."""

    def within(self, place: Place, session: Session) -> Place:
        """Where it is in the storage of all."""
        tenant = session.attributes.get("tenant", "nobody")
        return Place((tenant.encode(), *place.names))

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.is_root:
            return FileInfo.directory()
        return await super().file_info(self.within(place, session), session)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        with suppress(NotFound) if place.is_root else nullcontext():
            async for page in super().list_dir(self.within(place, session), session):
                yield page

    async def total_below(self, place: Place, session: Session) -> Amount:
        return await super().total_below(self.within(place, session), session)


def _within(operation: Operation) -> Callable[..., Any]:
    """The method of the storage in memory, in the directory of the session's tenant."""
    method = getattr(MemoryBackend, operation.name)
    at = operation.positional.index("session")

    @functools.wraps(method)
    def call(tenants: Tenants, *arguments: Any, **keywords: Any) -> Any:
        session = arguments[at]
        moved = [tenants.within(each, session) if isinstance(each, Place) else each for each in arguments]
        return method(tenants, *moved, **keywords)

    return call


for _operation in OPERATIONS.values():
    if _operation.name not in vars(Tenants):
        setattr(Tenants, _operation.name, _within(_operation))
