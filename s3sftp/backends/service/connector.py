"""Connects to the service and reconnects, with growing pauses (backoff) while it is away.

reach()     returns the connection if there is one. Otherwise makes one attempt, shared by all callers; after
            a failure it raises ServiceUnavailable at once for a moment, so that operations fail quickly and
            an absent service is not flooded with attempts
keeper      a task that reconnects by itself, so that readiness returns without any request
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from s3sftp.backends.service.client import ProtocolMismatch, ServiceClient, ServiceUnavailable
from s3sftp.backends.service.handshake import ServiceHello
from s3sftp.backends.service.options import ServiceOptions
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
        self._told = ""
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
        self._stopped, self._failure, self._told = False, None, ""
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
        self._told = ""
        _log.info("service.connected", service=link.hello.name, callbacks=sorted(link.hello.callbacks))
        return link

    def _attempt_ended(self, attempt: asyncio.Task[ServiceClient]) -> None:
        self._attempt = None
        if attempt.cancelled() or (failure := attempt.exception()) is None:
            return
        self._not_before = _now() + _BACKOFF.first
        if isinstance(failure, StorageFailure):
            self._failure = failure
            self._tell(failure)

    def _tell(self, failure: StorageFailure) -> None:
        """Log a failure once for each reason, so that a long outage does not fill the log."""
        if self._told != failure.detail:
            self._told = failure.detail or ""
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
