"""The server of the command line: a `Server` made of the options, run around signals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from s3sftp import __version__
from s3sftp.admin import HealthFacts
from s3sftp.app.backends import SHARED_ROWS, contact_in, make_backend
from s3sftp.app.descriptor_limit import storage_descriptors
from s3sftp.app.health import (
    admin_descriptors,
    current_phase,
    denied_permissions,
    describe_storage_error,
    probe_storage,
    storage_problem,
)
from s3sftp.app.options import ServerOptions
from s3sftp.app.worker_memory import WorkerMemory
from s3sftp.auth import Accounts, ConfiguredUsers
from s3sftp.backends import Backend
from s3sftp.errors import NotFound, PermissionDenied, StorageError
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.server import Server
from s3sftp.ssh import ConnectionSource, load_host_keys
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metric_catalogue import USERS, WORKERS, WORKERS_READY
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.app")
_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What one of several workers shares with the others."""

    entrance: ConnectionSource
    memory: WorkerMemory


class Application:
    """A server made of its options. `start` and `stop` once each; `run` does both, around a signal."""

    def __init__(
        self, options: ServerOptions, accounts: Accounts, among: WorkerContext | None = None
    ) -> None:
        """`accounts` are the users, in the place of those in the options. `among` says which one of several
        workers it is; alone it listens for itself."""
        self._options = options
        self._accounts = accounts
        self._users: ConfiguredUsers | None = None
        self._among = among
        self._cleanup = AsyncExitStack()
        self._server: Server | None = None
        self.metrics = Metrics(among.memory.metrics if among else None)
        """What has happened, as numbers: in all workers, where it is one of several."""
        self._shared = among.memory.storage if among else SharedCounters.alone(SHARED_ROWS)
        self._contact = contact_in(self._shared)
        self._given: Backend | None = None
        self._storage: Backend | None = None
        """The storage, once it has been started, with all that it may have lacked."""
        self._is_stopping = False

    @property
    def port(self) -> int:
        """The TCP port that it listens on, once started."""
        return self._server.port if self._server else 0

    async def start(self) -> None:
        """Put everything together and listen. What was started is stopped again if a later step fails.

        Raises ConfigurationError, CannotListen, or the StorageError that keeps the storage from being used.
        """
        options, among = self._options, self._among
        alone = among is None
        async with AsyncExitStack() as started:
            host_keys = await asyncio.to_thread(
                load_host_keys, options.ssh.host_keys, options.server.state_dir
            )
            users = self._users = ConfiguredUsers(self._accounts, options.auth)
            started.callback(users.close)
            self._given = make_backend(options, self.metrics, self._shared)
            self._server = Server(
                backend=self._given,
                auth=users,
                host_keys=host_keys,
                host=options.listen.host,
                port=options.listen.port,
                proxy_protocol=options.listen.proxy_protocol,
                proxy_sources=options.listen.proxy_sources,
                drain_timeout=options.server.drain_timeout,
                ssh=options.ssh,
                logins=options.auth,
                sftp=options.sftp,
                files=options.files,
                before_listening=self._look_first,
                other_descriptors=storage_descriptors(options) + (admin_descriptors(options) if alone else 0),
                entrance=among.entrance if among else None,
                uploads=among.memory.uploads if among else None,
                stored=among.memory.stored if among else None,
                metrics=self.metrics,
            )
            if among is None:
                self._tell_of_the_server(self._server)
            started.push_async_callback(self._server.stop)
            await self._server.start()
            self._cleanup = started.pop_all()
        # of several workers each is ready, and the supervisor says when the server is started
        _log.info(
            "server.started" if among is None else "worker.ready",
            version=__version__,
            backend=options.backend,
            users=len(self._accounts),
        )

    def _tell_of_the_server(self, server: Server) -> None:
        """What the supervisor says where there are several workers."""
        self.metrics.observe(WORKERS_READY, lambda: server.ready)
        self.metrics.set(WORKERS.row(), 1)
        self.metrics.set(USERS.row(), len(self._accounts))

    async def _look_first(self, backend: Backend) -> None:
        self._storage = backend
        await require_storage(backend, self._options)

    def facts(self) -> HealthFacts:
        """How it is, for the admin port."""
        is_open = self._server is not None and self._server.port != 0
        return HealthFacts(
            current_phase(is_open, self._is_stopping), denied=denied_permissions(self._contact)
        )

    async def look(self) -> str:
        """Ask the storage for something small: what it says, if that is no."""
        if self._storage is None or self._given is None:
            return ""
        return await storage_problem(self._storage, self._given, self._options)

    def last_success(self) -> float:
        """When the storage last did what it was asked, by the monotonic clock."""
        return self._contact.last_success()

    async def replace_users(self, accounts: Accounts) -> None:
        """From now on these are the users. Connections of those who are none any more are ended."""
        if self._users is None or self._server is None:
            self._accounts = accounts
            return
        before = self._users.accounts
        await self._users.replace(accounts)
        if removed := before.keys() - accounts.keys():
            self._server.send_away(removed, "the user has been removed")

    async def drain(self) -> bool:
        """Accept no one any more and let running transfers finish. Returns whether all of them did."""
        return await self._server.drain() if self._server else True

    async def stop(self) -> None:
        """End what still runs: nothing half of it is published."""
        await self._cleanup.aclose()
        _log.info("server.stopped" if self._among is None else "worker.stopped")

    async def run(
        self, started: Callable[[], None] = lambda: None, requests: ShutdownRequests | None = None
    ) -> None:
        """Serve until told to stop, for `server.drain_delay` yet, then drain and stop; a second request cuts
        delay and draining short.

        `started` is called once, when connections are accepted. Requests are SIGTERM and SIGINT, unless
        others are given.
        """
        if requests is None:
            requests = ShutdownRequests()
            requests.install()
        await self.start()
        try:
            started()
            await self._until_told(requests)
            _log.info(
                "server.stopping" if self._among is None else "worker.stopping",
                drain_seconds=self._options.server.drain_timeout.total_seconds(),
            )
            draining = asyncio.ensure_future(self.drain())
            hurry = asyncio.ensure_future(requests.wait(2))
            await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if self._server is not None and self._server.busy:
                _log.warning("transfers.cut_off")
            for task in (draining, hurry):
                task.cancel()
            await asyncio.gather(draining, hurry, return_exceptions=True)
        finally:
            await self.stop()

    async def _until_told(self, requests: ShutdownRequests) -> None:
        """Wait for a request to stop, and go on for as long as load balancers need to hear of it."""
        delay = self._options.server.drain_delay.total_seconds()
        is_served = not requests.asked
        await requests.wait()
        self._is_stopping = True
        # of several workers, none: the supervisor has waited
        if delay and is_served and self._among is None:
            _log.info("server.draining", delay_seconds=delay)
            await requests.linger(delay)


async def require_storage(backend: Backend, options: ServerOptions) -> None:
    """Ask for the root once. Raises the StorageError that says no: no bucket, no rights, nothing would work.

    A storage that is down or slow is only logged: it may be back before the first user comes. So is one that
    refuses, unless that lasts: it may serve those alone who have logged in, which nobody has yet.
    """
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await probe_storage(backend)
    except TimeoutError:
        _log.error("storage.unreachable", error=f"no reply within {_LOOK_SECONDS:g} s")
    except StorageError as error:
        if error.lasting or isinstance(error, NotFound):
            error.detail = describe_storage_error(error, options)
            raise
        if isinstance(error, PermissionDenied):
            _log.warning("storage.probe_denied", error=str(error), detail=error.detail)
            return
        _log.error("storage.unreachable", error=str(error), detail=describe_storage_error(error, options))
