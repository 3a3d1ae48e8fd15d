"""The backend for a storage service in another process, as the server uses it.

A service announces its optional operations in its hello, and may announce others when it reconnects. So the
parts that complete the backend are rebuilt for each hello that differs from the one before; an upload keeps
the parts that it began with. While the service is away every operation fails at once, and `ready` is false.
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
    """The storage service as a backend. Needs msgpack: `s3sftp[service]`."""

    def __init__(self, options: ServiceOptions) -> None:
        """Raises ConfigurationError: if msgpack is not installed."""
        require_msgpack()
        self._connector = Connector(options, self._found)
        self._room = SpoolQuota(None, 0)
        self._hello: ServiceHello | None = None
        super().__init__(stub_for(self._connector.reach, ()), Capabilities(), self._room)

    @property
    def ready(self) -> bool:
        """Whether the service is connected."""
        return self._connector.ready

    def may_spool(self, room: SpoolQuota) -> None:
        """The quota for the replacements of operations that the service lacks."""
        self._room = room

    async def start(self) -> None:
        """Connect. A service that is not there yet is only logged.

        Raises ProtocolMismatch: if the peer does not speak the protocol.
        """
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
        """The parts for the service as it is now.

        Raises ServiceUnavailable: if it is not there.
        Raises ProtocolMismatch: if the peer does not speak the protocol.
        """
        await self._connector.reach()  # calls `_found` before it returns a new connection
        return self._parts

    async def _found(self, hello: ServiceHello) -> None:
        """Fit the parts to what the service of a new connection can do."""
        if hello == self._hello:
            return
        stub = stub_for(self._connector.reach, hello.callbacks, hello.name, hello.first_chunk_bytes)
        parts = Parts.of(stub, examine(stub), self._room, self.read_file_range)
        before, self._parts, self._hello = self._parts, parts, hello
        await before.copies.close()  # returns their quota
