"""The server as an object that an application starts and stops.

async with Server(backend=…, auth=…, host_keys=…, port=0) as server:
    …server.port…

start    host keys ─► events ─► storage ─► listening socket          on an error, what was started is stopped
drain    no new connections ─► idle sessions end, running transfers finish ─► their events are delivered
stop     the rest is aborted ─► undelivered events are logged ─► storage
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal

import asyncssh

from s3sftp import backends
from s3sftp.auth import Authenticator, AuthOptions, Defender, Identity, Limits
from s3sftp.backends import Backend, CompleteBackend
from s3sftp.backends.router import backend_at
from s3sftp.errors import ConfigurationError
from s3sftp.events import EventHub, SubscriberCounts, Subscribers
from s3sftp.events.announcements import SILENT, Announcer
from s3sftp.events.dispatcher import EventDispatcher
from s3sftp.events.options import EventsOptions
from s3sftp.events.routes import SinkRule
from s3sftp.events.sink import EventSink
from s3sftp.fs import FileOptions, FileSystem, Mounts, OpenStorage, QuotaCounters, TransferBook
from s3sftp.fs.announcing import announce_in
from s3sftp.fs.open_storage import NO_STORAGES
from s3sftp.runtime.cancellation import run_to_completion
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.sftp import HandlesOfUsers, Rates, SftpOptions, SftpSession, UserPaces
from s3sftp.ssh import (
    ConnectionSource,
    Listener,
    ListenOptions,
    OpenedSession,
    SshOptions,
    host_keys_in_thread,
)
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.options import TracingOptions
from s3sftp.telemetry.periodic_gauges import sample_gauges

_log = get_logger("s3sftp.server")
_EVENTS_GRACE_SECONDS = 1.0
"""Time for the events of the last transfers, if the transfers have used up the time for draining."""


class Server:
    """An SFTP server in this process. Use it as an async context manager, or call `start`, `drain` and
    `stop`.

    Several may run at once, and one may be started again; they share nothing. Logging, signals and tracing
    are left to the application.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        auth: Authenticator,
        host_keys: Sequence[Path | str | asyncssh.SSHKey] | None = None,
        host: str = "127.0.0.1",
        port: int = 2022,
        proxy_protocol: Literal["off", "allowed", "required"] = "off",
        proxy_sources: Sequence[str] = (),
        on_committed: Subscribers = (),
        on_renamed: Subscribers = (),
        drain_timeout: timedelta | float = 30.0,
        ssh: SshOptions | None = None,
        logins: AuthOptions | None = None,
        sftp: SftpOptions | None = None,
        files: FileOptions | None = None,
        before_listening: Callable[[CompleteBackend], Awaitable[None]] | None = None,
        connection_source: ConnectionSource | None = None,
        uploads: SharedCounters | None = None,
        handles: SharedCounters | None = None,
        stored: SharedCounters | None = None,
        rates: SharedCounters | None = None,
        quotas: QuotaCounters | None = None,
        limits_of: Callable[[Identity], Limits] = lambda identity: identity.limits,
        other_descriptors: int = 0,
        metrics: Metrics | None = None,
        storages: Mapping[str, Backend] = NO_STORAGES,
        tracing: TracingOptions | None = None,
        sinks: Sequence[tuple[SinkRule, EventSink]] = (),
        event_delivery: EventsOptions | None = None,
    ) -> None:
        """Opens nothing yet.

        `backend`: where files are stored; started and stopped with the server.
        `storages`: further ones, by the name that a user's mount has as `storage`.
        `auth`: decides who may log in; `s3sftp.auth.Authenticator` is the protocol.
        `host_keys`: files or keys, as for `SshOptions`. None: those of `ssh`, else keys are made for this
        run, with a warning in the log, because clients will not recognise the next run's keys.
        `host`, `port`: where to listen; an empty host means all addresses, port 0 a free one.
        `proxy_protocol`, `proxy_sources`: whether load balancers report the client's address by the PROXY
        protocol, and which are believed, as in `[listen]`.
        `on_committed`, `on_renamed`: async functions, or `Subscriber`s, one or several.
        `drain_timeout`: how long running transfers and waiting events may take at the end, in seconds.
        `ssh`, `logins`, `sftp`, `files`, `tracing`: the options of the groups `[ssh]`, `[auth]`, `[sftp]`,
        `[files]`, `[tracing]`.
        `before_listening`: called once the storage has started; what it raises ends the start.
        `connection_source`, `uploads`, `handles`, `stored`, `rates`: for one of several workers: where
        connections come from, and the shared counters of each user's uploads and handles, of changed names,
        and of users' rates.
        `quotas`: what is stored where users have quotas, as all who store there know it; by default this
        server alone does.
        `limits_of`: the limits that hold for a user now; by default those of the identity.
        `other_descriptors`: file descriptors that the backend may open; connections leave them free.
        `metrics`: counts what happens in this server. None: metrics of its own.
        `sinks`: other systems that receive events, and which events; `event_delivery`: the options of
        `[events]`.

        Raises ConfigurationError: if subscribers cannot be used.
        """
        self._given_backend = backend
        self._storages = storages
        self._auth = auth
        self._given_keys = host_keys
        self._listen = ListenOptions(
            host=host, port=port, proxy_protocol=proxy_protocol, proxy_sources=tuple(proxy_sources)
        )
        self._on_committed, self._on_renamed = on_committed, on_renamed
        self._drain_seconds = (
            drain_timeout.total_seconds() if isinstance(drain_timeout, timedelta) else drain_timeout
        )
        self._ssh = ssh or SshOptions()
        self._logins = logins or AuthOptions()
        self._sftp = sftp or SftpOptions()
        self._files = files or FileOptions()
        self._tracing = tracing or TracingOptions()
        self._sinks = tuple(sinks)
        self._event_delivery = event_delivery or EventsOptions()
        self._dispatcher: EventDispatcher | None = None
        self._announcer = SILENT
        self._before_listening = before_listening
        self._connection_source = connection_source
        self._uploads = uploads
        self._stored = stored
        self._quotas = quotas
        self._limits_of = limits_of
        self._other_descriptors = other_descriptors
        self.metrics = metrics or Metrics()
        """Counts what happens in this server."""
        self._paces = UserPaces(rates, self.metrics)
        self._handles = HandlesOfUsers(handles, self.metrics)
        self._events = EventHub(on_committed, on_renamed)
        self._book = TransferBook()
        self._running: AsyncExitStack | None = None
        self._listener: Listener | None = None
        self._accepting = False

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 before the start, and if connections come from elsewhere."""
        return self._listener.port if self._listener else 0

    @property
    def announcer(self) -> Announcer:
        """Announces to the sinks of `sinks`; to nobody while the server is not started."""
        return self._announcer

    @property
    def connections(self) -> int:
        """The current number of connections."""
        return self._listener.connections if self._listener else 0

    @property
    def ready(self) -> bool:
        """Whether a client would be served: started, not draining, and the backend is ready.

        A backend that can be unready says so by an attribute `ready`.
        """
        return self._accepting and bool(getattr(self._given_backend, "ready", True))

    @property
    def events(self) -> Mapping[str, SubscriberCounts]:
        """What became of each subscriber's events since the last start, by the subscriber's name."""
        return self._events.counts()

    async def start(self) -> None:
        """Build everything and listen. If a step fails, what was started is stopped again.

        Raises ConfigurationError: if the options cannot be used.
        Raises CannotListen: if the address cannot be listened on.
        Raises Exception: whatever the backend's start or `before_listening` raises.
        """
        if self._running is not None:
            raise RuntimeError("the server is started already")
        self._running = started = AsyncExitStack()
        try:
            await self._start(started)
            if self._running is not started:
                raise RuntimeError("the server was stopped while it started")
        except BaseException:
            if self._running is started:
                self._running = None
            self._listener = None
            await run_to_completion(_clean_up(started))
            raise
        self._accepting = True

    async def _start(self, started: AsyncExitStack) -> None:
        given = self._given_keys if self._given_keys is not None else self._ssh.host_keys
        keys = await host_keys_in_thread(given)
        self._events = EventHub(self._on_committed, self._on_renamed)
        volume = OpenStorage(
            self._given_backend,
            self._files,
            self._uploads,
            self._events,
            self._stored,
            self.metrics,
            self._storages,
            self._quotas,
            self._book,
        )

        def open_session(identity: Identity, session: backends.Session) -> SftpSession:
            tree = identity.tree()
            if missing := tree.storages - volume.storages:
                raise ConfigurationError([f"a mount of {identity.user} is in no storage: {min(missing)!r}"])
            _refuse_roles(identity.user, tree, volume.backend)
            if volume.backend.wants_grants:
                session = replace(session, grants=tree.grants())
            limits = self._limits_of(identity)
            pace = self._paces.of(identity.user, _rates(limits))
            handles = self._handles.of(identity.user, limits.max_handles or 0)
            return SftpSession(FileSystem(volume, tree, session), self._sftp, pace, handles, self._tracing)

        started.push_async_callback(volume.stop)
        await volume.start()
        if self._before_listening is not None:
            await self._before_listening(volume.backend)
        self._dispatcher = announce_in(volume, self._sinks, self._event_delivery, self.metrics)
        self._announcer = volume.announcer
        listener = Listener(
            self._listen,
            self._ssh,
            self._logins,
            self._auth,
            keys,
            open_session,
            self._connection_source,
            self._sftp.idle_timeout,
            self._other_descriptors,
            self.metrics,
            self._limits_of,
            volume.announcer.tell_login,
        )
        budget = volume.budget
        await started.enter_async_context(sample_gauges(self.metrics, lambda: budget.used, budget.total))
        started.push_async_callback(self._end_events, volume)
        self._events.start()
        if self._dispatcher is not None:
            await self._dispatcher.start()
        started.push_async_callback(listener.stop)
        await listener.start()
        self._listener = listener

    @property
    def defender(self) -> Defender | None:
        """Bans sources; None while the server does not listen itself."""
        return self._listener.defender if self._listener else None

    @property
    def book(self) -> TransferBook:
        """The transfers of this server: those under way, and the latest that ended."""
        return self._book

    def open_sessions(self) -> list[OpenedSession]:
        """The sessions that are open now."""
        return self._listener.open_sessions() if self._listener else []

    def disconnect(self, session_id: str, reason: str) -> bool:
        """End the connection of a session, as `send_away`. Returns whether there is such a session."""
        return self._listener is not None and self._listener.disconnect(session_id, reason)

    @property
    def busy(self) -> bool:
        """Whether a transfer is under way, which `stop` would abort."""
        return self._listener is not None and self._listener.busy

    def send_away(self, users: Collection[str], reason: str) -> None:
        """End the connections of these users, given by the names in their identities.

        Their unfinished uploads are aborted, and nothing of them is published. Returns at once. Whether these
        users may log in again is the authenticator's decision. The reason is for the log; clients do not
        learn it.
        """
        if self._listener is not None:
            self._listener.send_away(users, reason)

    def change_rates(self, limits_of: Callable[[str], Limits | None]) -> None:
        """Change how fast the open sessions of users may be, and how many handles they may have.

        `limits_of` is called with the name in the identity of each user who has sessions, and returns the
        limits from now on, or None to leave them.
        """
        for user in self._paces.users():
            if (limits := limits_of(user)) is not None:
                self._paces.change(user, _rates(limits))
                self._handles.change(user, limits.max_handles or 0)

    async def drain(self) -> bool:
        """Accept no new connections, let running transfers finish, and have their events delivered.

        Returns whether all of that was done within `drain_timeout`. Cancelling it cuts the draining short;
        `stop` must still be called.
        """
        if self._listener is None:
            return True
        self._accepting = False
        deadline = asyncio.get_running_loop().time() + self._drain_seconds
        await self._listener.stop_accepting()
        finished = await self._listener.drain(self._drain_seconds)
        try:
            async with asyncio.timeout_at(deadline):
                await self._events.drain()
                if self._dispatcher is not None:
                    await self._dispatcher.drain()
        except TimeoutError:
            return False
        return finished

    async def stop(self) -> None:
        """End what still runs; nothing incomplete is published. May be called twice.

        A cancellation does not interrupt it, and is raised when everything has been released.
        """
        self._accepting = False
        self._events.hurry()
        running, self._running = self._running, None
        if running is not None:
            await run_to_completion(running.aclose())
        self._listener = None

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drain, then stop. A cancellation cuts the draining short."""
        try:
            if not await self.drain() and self.busy:
                _log.warning("transfers.cut_off")
        finally:
            await self.stop()

    async def _end_events(self, volume: OpenStorage) -> None:
        """Deliver the events that the clean-up of sessions may still have published."""
        await volume.wait_for_adopted()
        await self._events.stop(_EVENTS_GRACE_SECONDS)
        if self._dispatcher is not None:
            await self._dispatcher.stop()


def _rates(limits: Limits) -> Rates:
    return Rates(
        limits.upload_bytes_per_second or 0,
        limits.download_bytes_per_second or 0,
        limits.requests_per_second or 0,
    )


async def _clean_up(started: AsyncExitStack) -> None:
    """Clean up after a failed start. Its error is the one to raise; errors of the clean-up are only
    logged."""
    try:
        await started.aclose()
    except Exception:
        _log.exception("server.cleanup_failed")


def _refuse_roles(user: str, tree: Mounts, backend: CompleteBackend) -> None:
    """Raises ConfigurationError: if a mount has a role, and its storage assumes none."""
    for mount in tree.mounted:
        if mount.role is not None and not backend_at(backend, mount.place).wants_grants:
            raise ConfigurationError(
                [f"the mount {mount.path} of {user} has a role, and its storage assumes none"]
            )
