"""The server of the command line: builds a `Server` from the options and runs it until a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from s3sftp import __version__
from s3sftp.admin import HealthFacts
from s3sftp.app.descriptor_limit import admin_descriptors, storage_descriptors
from s3sftp.app.event_sinks import make_sinks
from s3sftp.app.expected_files import ExpectedFiles
from s3sftp.app.expected_marks import ExpectedMarks
from s3sftp.app.health import (
    aws_users_trouble,
    current_phase,
    denied_permissions,
    failing_sinks,
    has_users,
    hook_trouble,
    shared_state_trouble,
)
from s3sftp.app.options import ServerOptions
from s3sftp.app.serving_answers import LoginTrials, ServingAnswers
from s3sftp.app.shared_state import share_codes, share_quotas
from s3sftp.app.storage_contacts import StorageContacts, shared_rows
from s3sftp.app.storages import make_storages, require_storages, storage_problems
from s3sftp.app.user_sources import start_sources
from s3sftp.app.worker_memory import WorkerMemory
from s3sftp.auth import Accounts, Authenticator, ConfiguredUsers, Defender, Identity, Limits
from s3sftp.backends import Backend, CompleteBackend
from s3sftp.events import Subscriber
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.expect.rules import ExpectRule
from s3sftp.fs import SharedQuotaCounts
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.server import Server
from s3sftp.ssh import ConnectionSource, load_host_keys
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.failed_logins import EVENTS, FailedLogins
from s3sftp.telemetry.metric_catalogue import USERS, WORKERS, WORKERS_READY
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.app")


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What one of several workers shares with the others."""

    connection_source: ConnectionSource
    memory: WorkerMemory


class Application:
    """A server built from its options. Call `start` and `stop` once each; `run` does both and handles
    signals."""

    def __init__(
        self, options: ServerOptions, accounts: Accounts, context: WorkerContext | None = None
    ) -> None:
        """`accounts` replaces the users in the options. `context` is what this worker shares with the
        others; None: the only process, which listens itself."""
        self._options = options
        self._accounts = accounts
        self._users: ConfiguredUsers | None = None
        self._context = context
        self._cleanup = AsyncExitStack()
        self._server: Server | None = None
        self.metrics = Metrics(context.memory.metrics if context else None, storages=options.storage_names)
        """Counts what happens, summed over all workers if there are several."""
        self._shared = context.memory.storage if context else SharedCounters.alone(shared_rows(options))
        self._contacts = StorageContacts(options, self._shared)
        self._given: Mapping[str, Backend] = {}
        """The backends as they were made, by the names of their storages."""
        self._storage: CompleteBackend | None = None
        """The storage once it has started, with whatever the given backend lacked."""
        self._is_stopping = False
        self._answers: ServingAnswers | None = None

    @property
    def port(self) -> int:
        """The TCP port that it listens on, once started."""
        return self._server.port if self._server else 0

    async def start(self) -> None:
        """Build everything and listen. If a step fails, what was started is stopped again.

        Raises ConfigurationError: if the options cannot be used.
        Raises CannotListen: if the address cannot be listened on.
        Raises StorageError: if the storage cannot be used and waiting would not help.
        """
        options, context = self._options, self._context
        alone = context is None
        async with AsyncExitStack() as started:
            host_keys = await asyncio.to_thread(
                load_host_keys, options.ssh.host_keys, options.server.state_dir
            )
            users = self._users = ConfiguredUsers(
                self._accounts, options.auth, context.memory.codes if context else None
            )
            started.callback(users.close)
            await share_codes(options, users.verifier, self.metrics, started)
            quotas = await share_quotas(options, self.metrics, started)
            if quotas is None and context is not None:
                quotas = SharedQuotaCounts(context.memory.quotas)
            self._given = make_storages(options, self.metrics, self._shared)
            sources = await start_sources(options, users, self.metrics, started)
            expected = self._expected_files(users)
            self._server = Server(
                backend=self._given[""],
                storages={name: self._given[name] for name in options.storages},
                auth=sources,
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
                tracing=options.tracing,
                before_listening=self._check_storage,
                other_descriptors=storage_descriptors(options) + (admin_descriptors(options) if alone else 0),
                connection_source=context.connection_source if context else None,
                uploads=context.memory.uploads if context else None,
                handles=context.memory.handles if context else None,
                stored=context.memory.stored if context else None,
                rates=context.memory.rates if context else None,
                quotas=quotas,
                limits_of=self._limits_of,
                metrics=self.metrics,
                on_committed=Subscriber(expected.committed, "expect-committed") if expected else (),
                on_renamed=Subscriber(expected.renamed, "expect-renamed") if expected else (),
                sinks=make_sinks(options.events),
                event_delivery=options.events,
            )
            if options.admin.has_api:
                self._answer_questions(self._server, sources, users, started)
            if context is None:
                self._set_server_metrics(self._server)
            started.push_async_callback(self._server.stop)
            await self._server.start()
            if expected is not None:
                expected.start()
                started.push_async_callback(expected.stop)
            self._cleanup = started.pop_all()
        # with several workers each reports that it is ready, and the supervisor reports the server's start
        _log.info(
            "server.started" if context is None else "worker.ready",
            version=__version__,
            backend=options.backend,
            users=len(self._accounts),
        )

    def _expected_files(self, users: ConfiguredUsers) -> ExpectedFiles | None:
        """What watches for files that partners should deliver; None if there are no rules for that."""
        options = self._options

        async def announce(event: CloudEvent) -> None:
            if self._server is not None:
                await self._server.announcer.tell_for_good(event)

        if not options.events.expect:
            return None
        return ExpectedFiles(
            [ExpectRule.of(name, rule) for name, rule in options.events.expect.items()],
            lambda: users.accounts,
            lambda: self._storage,
            ExpectedMarks(options.server.state_dir),
            announce,
            self.metrics,
            options.events.source,
        )

    def _set_server_metrics(self, server: Server) -> None:
        """Log what the supervisor logs if there are several workers."""
        self.metrics.observe(WORKERS_READY, lambda: server.ready)
        self.metrics.set(WORKERS.row(), 1)
        self.metrics.set(USERS.row(), len(self._accounts))

    def _answer_questions(
        self, server: Server, sources: Authenticator, users: ConfiguredUsers, started: AsyncExitStack
    ) -> None:
        """Answer what the admin API asks, from now on."""
        failed_logins = FailedLogins()
        started.callback(tap.listen(EVENTS, failed_logins.note))
        worker = self._context.memory.metrics.column + 1 if self._context else 0
        self._answers = ServingAnswers(server, failed_logins, worker)
        trials = LoginTrials(self._options, sources, lambda: users.accounts, lambda: self._storage)
        self._answers.dry_run = trials.run

    async def answer_question(self, question: bytes) -> bytes:
        """Answer what the admin API asks of this process.

        Raises RuntimeError: if it does not serve yet.
        """
        if self._answers is None:
            raise RuntimeError("the server starts")
        return await self._answers.answer(question)

    @property
    def accounts(self) -> Accounts:
        """The current users of the configuration."""
        return self._users.accounts if self._users else self._accounts

    async def _check_storage(self, backend: CompleteBackend) -> None:
        self._storage = backend
        await require_storages(backend, self._options)

    def facts(self) -> HealthFacts:
        """The server's state, for the admin port."""
        is_open = self._server is not None and self._server.port != 0
        return HealthFacts(
            current_phase(is_open, self._is_stopping),
            denied=denied_permissions(self._contacts),
            hook_down=hook_trouble(self._options, self.metrics),
            aws_users_down=aws_users_trouble(self.metrics),
            has_users=has_users(self.metrics),
            shared_state_down=shared_state_trouble(self._options, self.metrics),
            sinks_failing=failing_sinks(self._options, self.metrics),
        )

    @property
    def defender(self) -> Defender | None:
        """Bans sources; None while the server does not listen itself."""
        return self._server.defender if self._server else None

    async def probe_storage(self) -> str:
        """Probe the storages of which nothing recent is known; return their problems, see
        `storage_problems`."""
        if self._storage is None:
            return ""
        names = self._contacts.silent() if self._options.storages else ("",)
        return await storage_problems(self._storage, self._given, self._options, names)

    def last_success(self) -> float:
        """When the storage last completed a request, by the monotonic clock."""
        return self._contacts.last_success()

    async def replace_users(self, accounts: Accounts) -> None:
        """Replace all users. Ends the connections of users who no longer exist, are disabled or have
        expired, and those that a hook let in by a name that is now a configured user's."""
        if self._users is None or self._server is None:
            self._accounts = accounts
            return
        before = self._users.accounts
        await self._users.replace(accounts)
        self._server.change_rates(self._limits_now)
        if removed := before.keys() - accounts.keys():
            self._server.send_away(removed, "the user has been removed")
        if added := accounts.keys() - before.keys():
            self._server.send_away(added, "the name is now a user's of the configuration")
        for reason, users in _ended(accounts).items():
            self._server.send_away(users, reason)

    def _limits_of(self, identity: Identity) -> Limits:
        """The limits that hold for a user now: those of the configuration, if it has the user, else those
        that the login gave, over those of all users."""
        return self._limits_now(identity.user) or identity.limits.over(self._options.limits.limits)

    def _limits_now(self, user: str) -> Limits | None:
        account = self._users.accounts.get(user) if self._users else None
        return account.identity.limits.over(self._options.limits.limits) if account else None

    async def drain(self) -> bool:
        """Accept no new connections and let running transfers finish. Returns whether all of them did."""
        return await self._server.drain() if self._server else True

    async def stop(self) -> None:
        """End what still runs; nothing incomplete is published."""
        await self._cleanup.aclose()
        _log.info("server.stopped" if self._context is None else "worker.stopped")

    async def run(
        self, started: Callable[[], None] = lambda: None, requests: ShutdownRequests | None = None
    ) -> None:
        """Serve until a request to stop and for `server.drain_delay` after it, then drain and stop. A second
        request cuts delay and draining short.

        `started` is called once, when connections are accepted. Requests are SIGTERM and SIGINT, unless
        others are given.
        """
        if requests is None:
            requests = ShutdownRequests()
            requests.install()
        await self.start()
        try:
            started()
            await self._until_stop_requested(requests)
            _log.info(
                "server.stopping" if self._context is None else "worker.stopping",
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

    async def _until_stop_requested(self, requests: ShutdownRequests) -> None:
        """Wait for a request to stop, then keep serving until load balancers have had time to notice."""
        delay = self._options.server.drain_delay.total_seconds()
        is_served = not requests.asked
        await requests.wait()
        self._is_stopping = True
        # a worker does not wait here: its supervisor has waited already
        if delay and is_served and self._context is None:
            _log.info("server.draining", delay_seconds=delay)
            await requests.linger(delay)


def _ended(accounts: Accounts) -> Mapping[str, Collection[str]]:
    """The users whose sessions must end, by the reason."""
    now = datetime.now(UTC)
    ended: dict[str, set[str]] = {}
    for name, account in accounts.items():
        if (reason := account.identity.login_rules.end(now)) is not None:
            ended.setdefault(reason, set()).add(name)
    return ended
