"""The storage that is a service in another process, as the server sees it.

A service says in its hello what it can do, and may say something else when it comes back. So what makes the
backend whole is put together anew for each hello that differs from the last one; an upload stays with the
parts that it began on. While the service is away every operation fails at once, and `ready` is false.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from s3sftp.backends.capabilities import Capabilities, examine
from s3sftp.backends.complete.backend import CompletedBackend, Parts
from s3sftp.backends.contract import Buffer, Place, Session
from s3sftp.backends.service.connector import Connector
from s3sftp.backends.service.packing import require_msgpack
from s3sftp.backends.service.stub import stub_for
from s3sftp.backends.spool import SpoolQuota

if TYPE_CHECKING:
    from s3sftp.backends.service.handshake import ServiceHello
    from s3sftp.backends.service.options import ServiceOptions


class ServiceBackend(CompletedBackend):
    """Needs msgpack: `s3sftp[service]`."""

    def __init__(self, options: ServiceOptions) -> None:
        """Raises ConfigurationError when msgpack is not installed."""
        require_msgpack()
        self._connector = Connector(options, self._found)
        self._room = SpoolQuota(None, 0)
        self._hello: ServiceHello | None = None
        super().__init__(stub_for(self._connector.reach, ()), Capabilities(), self._room)

    @property
    def ready(self) -> bool:
        """Whether the service is there."""
        return self._connector.ready

    def may_spool(self, room: SpoolQuota) -> None:
        """What the service cannot do by itself is done there."""
        self._room = room

    async def start(self) -> None:
        """Connect. That nobody is there yet is logged; raises NotUnderstood for one that makes no sense."""
        await self._connector.start()

    async def stop(self) -> None:
        await self._connector.stop()
        self._hello = None
        await self._parts.copies.close()

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        await self._now()
        async with aclosing(super().read_file_range(place, start, stop, version, session)) as pieces:
            async for piece in pieces:
                yield piece

    async def _now(self) -> Parts:
        """The parts for the service as it is now. Raises NotThere, NotUnderstood."""
        await self._connector.reach()  # calls `_found` before it returns a new connection
        return self._parts

    async def _found(self, hello: ServiceHello) -> None:
        """Fit the parts to what a new connection's service can do."""
        if hello == self._hello:
            return
        stub = stub_for(self._connector.reach, hello.callbacks, hello.name, hello.first_chunk_bytes)
        parts = Parts.of(stub, examine(stub), self._room, self.read_file_range)
        before, self._parts, self._hello = self._parts, parts, hello
        await before.copies.close()  # gives back their room
