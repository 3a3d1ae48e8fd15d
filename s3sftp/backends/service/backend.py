"""The backend for a storage service in another process, as the server uses it.

`Connector` connects to the service and reconnects, with growing pauses (backoff) while it is away:

    reach()    returns the connection if there is one. Otherwise makes one attempt, shared by all callers;
               after a failure it raises ServiceUnavailable at once for a moment, so that operations fail
               quickly and an absent service is not flooded with attempts
    keeper     a task that reconnects by itself, so that readiness returns without any request

A service announces its optional operations in its hello, and may announce others when it reconnects. So the
parts that complete the backend are rebuilt for each hello that differs from the one before; an upload keeps
the parts that it began with. While the service is away every operation fails at once, and `ready` is false.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from s3sftp.backends.capabilities import Capabilities, examine
from s3sftp.backends.complete.backend import CompletedBackend, Parts
from s3sftp.backends.contract import Buffer, Place, Session
from s3sftp.backends.service.client import ProtocolMismatch, ServiceClient, ServiceUnavailable
from s3sftp.backends.service.framing import require_msgpack
from s3sftp.backends.service.handshake import ServiceHello
from s3sftp.backends.service.options import ServiceOptions
from s3sftp.backends.service.stub import stub_for
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import StorageFailure
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.service")
_BACKOFF = Backoff(first=0.1, longest=3.0)


class Connector:
    """Holds the one connection to a service that comes and goes. `found` is called with the hello of each new
    connection before it is used."""

    def __init__(self, options: ServiceOptions, found: Callable[[ServiceHello], Awaitable[None]]) -> None:
        self._options = options
        self._found = found
        self._link: ServiceClient | None = None
        self._attempt: asyncio.Task[ServiceClient] | None = None
        self._failure: StorageFailure | None = None
        self._not_before = 0.0
        self._reported = ""
        self._keeper: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def ready(self) -> bool:
        """Whether the service is connected."""
        return self._link is not None and not self._link.ended.is_set()

    async def start(self) -> None:
        """Connect. A service that is not there may come later.

        Raises ProtocolMismatch: if the peer does not speak the protocol.
        """
        self._stopped, self._failure, self._reported = False, None, ""
        with contextlib.suppress(ServiceUnavailable):
            await self._attempted()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Close the connection and do not reconnect."""
        self._stopped = True
        for task in (self._keeper, self._attempt):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def reach(self) -> ServiceClient:
        """Return the connection, after one short attempt at most.

        Raises ServiceUnavailable: if the service is not there.
        Raises ProtocolMismatch: if the peer does not speak the protocol.
        """
        if self._link is not None and not self._link.ended.is_set():
            return self._link
        if self._stopped:
            raise ServiceUnavailable(detail="stopped")
        if self._attempt is None and self._failure is not None and _now() < self._not_before:
            raise type(self._failure)(detail=self._failure.detail)
        return await self._attempted()

    async def _attempted(self) -> ServiceClient:
        """The outcome of the current attempt, or of a new one."""
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._connect())
            self._attempt.add_done_callback(self._attempt_ended)
        return await asyncio.shield(self._attempt)

    async def _connect(self) -> ServiceClient:
        link = await ServiceClient.open(self._options)
        try:
            await self._found(link.hello)
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._reported = ""
        _log.info("service.connected", service=link.hello.name, callbacks=sorted(link.hello.callbacks))
        return link

    def _attempt_ended(self, attempt: asyncio.Task[ServiceClient]) -> None:
        self._attempt = None
        if attempt.cancelled() or (failure := attempt.exception()) is None:
            return
        self._not_before = _now() + _BACKOFF.first
        if isinstance(failure, StorageFailure):
            self._failure = failure
            self._report(failure)

    def _report(self, failure: StorageFailure) -> None:
        """Log a failure once for each reason, so that a long outage does not fill the log."""
        if self._reported != failure.detail:
            self._reported = failure.detail or ""
            _log.error(
                "service.unreachable" if isinstance(failure, ServiceUnavailable) else "service.incompatible",
                detail=failure.detail,
            )

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                link = await self.reach()
            except (ServiceUnavailable, ProtocolMismatch):
                failures += 1
                await asyncio.sleep(_BACKOFF.delay(failures))
                continue
            failures = 0
            await link.ended.wait()
            _log.error("service.disconnected", service=link.hello.name, detail=link.reason)
            with contextlib.suppress(OSError):
                await link.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


class ServiceBackend(CompletedBackend):
    """The storage service as a backend. Needs msgpack: `s3sftp[service]`."""

    def __init__(self, options: ServiceOptions) -> None:
        """Raises ConfigurationError: if msgpack is not installed."""
        require_msgpack()
        self._connector = Connector(options, self._found)
        self._quota = SpoolQuota(None, 0)
        self._hello: ServiceHello | None = None
        super().__init__(stub_for(self._connector.reach, ()), Capabilities(), self._quota)

    @property
    def ready(self) -> bool:
        """Whether the service is connected."""
        return self._connector.ready

    def may_spool(self, quota: SpoolQuota) -> None:
        """The quota for the replacements of operations that the service lacks."""
        self._quota = quota

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
        parts = Parts.of(stub, examine(stub), self._quota, self.read_file_range)
        before, self._parts, self._hello = self._parts, parts, hello
        await before.copies.close()  # returns their quota
