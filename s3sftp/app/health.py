"""Determines whether a server is alive and ready: a single process, or a supervisor with its workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any, cast

from s3sftp.admin import HealthFacts, HealthReport, Phase, StorageCheck, WorkerState, health
from s3sftp.admin.storage_check import PROBE_SECONDS
from s3sftp.app.admin_api import AdminApi
from s3sftp.app.options import ServerOptions
from s3sftp.app.storage_contacts import StorageContacts
from s3sftp.auth import RevocationFile
from s3sftp.backends import Backend, Place, Session
from s3sftp.backends.s3.iam_permissions import permission_for
from s3sftp.config.addresses import without_url_secrets
from s3sftp.errors import PermissionDenied, StorageError, describe_unexpected
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.logs import printable
from s3sftp.telemetry.metric_catalogue import (
    AWS_USER_SERVICES,
    AWS_USERS_DOWN,
    EVENT_SINKS,
    EVENT_SINKS_FAILING,
    HOOK_DOWN,
    READY,
    SHARED_STATE_DOWN,
    USERS,
)
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.series import recording
from s3sftp.workers import HeartbeatPolicy, Supervisor
from s3sftp.workers.worker_process import WorkerProcess

_log = get_logger("s3sftp.app")
_DETAIL_CHARACTERS = 1000
_RESTART_SECONDS = 60.0
"""Maximum time from the kill of a worker until its successor is ready."""
_NO_ANSWER_SECONDS = 1.0
"""Time that a worker has beyond the storage's timeout, to report that there was no answer."""
_LOGGED_AT_START = frozenset({"storage_unreachable", "revocations_unusable"})
"""Reasons that are logged even if the server has never been ready."""


class ServerHealth:
    """The server's health, as the admin port reports it."""

    def __init__(
        self, facts: Callable[[], HealthFacts], storage: StorageCheck, revocations: RevocationFile
    ) -> None:
        self._facts = facts
        self._storage = storage
        self._revocations = revocations
        self._was_ready: bool | None = None

    async def alive(self) -> HealthReport:
        """Whether the server can recover without a restart."""
        return health.alive(self._facts())

    async def ready(self) -> HealthReport:
        """Whether a client would be served. Logs each change, with its reasons."""
        storage = await self._storage.problem() if self._facts().phase is Phase.SERVING else ""
        answer = health.ready(self._facts(), storage, await self._revocations.problem())
        self._log_change(answer)
        return answer

    def known(self) -> HealthReport:
        """What is known of all that the server needs, in whichever phase it is, without a probe."""
        facts = replace(self._facts(), phase=Phase.SERVING)
        return health.ready(facts, self._storage.known, self._revocations.known_problem)

    def would_serve(self) -> bool:
        """Whether a client would be served, by what is already known about the storage."""
        return health.ready(self._facts(), self._storage.known, self._revocations.known_problem).is_good

    def _log_change(self, answer: HealthReport) -> None:
        if answer.is_good is self._was_ready:
            return
        if answer.is_good:
            _log.info("server.ready")
        elif self._was_ready or any(reason.name in _LOGGED_AT_START for reason in answer.reasons):
            _log.warning(
                "server.not_ready",
                reasons=[reason.name for reason in answer.reasons],
                detail="; ".join(reason.detail for reason in answer.reasons),
            )
        else:
            return  # it was not ready before either: it is still starting
        self._was_ready = answer.is_good


@asynccontextmanager
async def admin_port(
    options: ServerOptions,
    facts: Callable[[], HealthFacts],
    probe: Callable[[], Awaitable[str | None]],
    last_success: Callable[[], float],
    metrics: Metrics,
    api: AdminApi | None = None,
) -> AsyncIterator[None]:
    """Run the admin port, if one is configured, and report readiness as a metric. `api`: what answers the
    calls of the API, if the options say who may call.

    Raises CannotListen: if its address cannot be listened on.
    """
    if options.admin.port is None:
        metrics.observe(READY, lambda: health.ready(facts(), "").is_good)  # without probing the storage
        yield
        return
    from s3sftp.admin.http_service import admin_port as listening  # imports aiohttp

    storage = StorageCheck(probe, last_success)
    asked = ServerHealth(facts, storage, RevocationFile(options.auth.revoked_keys, tells=False))
    metrics.observe(READY, asked.would_serve)
    async with AsyncExitStack() as open_:
        open_.callback(storage.close)
        if api is not None:
            api.server.ready, api.server.known = asked.ready, asked.known
            await open_.enter_async_context(recording(api.series_recorder))
        await open_.enter_async_context(
            listening(options.admin, asked.alive, asked.ready, metrics.render, api)
        )
        yield


def import_admin_port(options: ServerOptions) -> None:
    """Import what the admin port needs, if one is configured, before processes are forked from this one.

    Imports write to much of the existing memory, which then is no longer shared with forked processes.
    """
    if options.admin.port is not None:
        from s3sftp.admin import http_service as _http_service  # noqa: F401
        from s3sftp.telemetry import exposition as _exposition  # noqa: F401


class SupervisorHealth:
    """A supervisor as the admin port sees it."""

    def __init__(
        self, options: ServerOptions, supervisor: Supervisor, shared: SharedCounters, metrics: Metrics
    ) -> None:
        """`shared` holds what the workers share about the storage, `metrics` what all of them count."""
        self._options = options
        self._metrics = metrics
        self._supervisor = supervisor
        self._contacts = StorageContacts(options, shared)
        limit = options.server.worker_timeout.total_seconds()
        self._heartbeat = HeartbeatPolicy.of(limit)
        self._replacing_seconds = limit + _RESTART_SECONDS if limit else None
        self._unserved_since: float | None = None
        """When it was first noticed that no worker serves; None while one does."""
        self._turn = 0

    def facts(self) -> HealthFacts:
        """The current state."""
        workers = tuple(map(self._state_of, self._supervisor.workers.values()))
        now = monotonic()
        if any(worker.serves for worker in workers):
            self._unserved_since = None
        elif self._unserved_since is None:
            self._unserved_since = now
        return HealthFacts(
            current_phase(self._supervisor.is_open, self._supervisor.is_stopping),
            workers,
            now - (self._unserved_since or now),
            self._replacing_seconds,
            denied_permissions(self._contacts),
            hook_trouble(self._options, self._metrics),
            has_users(self._metrics),
            aws_users_trouble(self._metrics),
            shared_state_trouble(self._options, self._metrics),
            failing_sinks(self._options, self._metrics),
        )

    def last_success(self) -> float:
        """When the storage last completed a request for any worker, by the monotonic clock."""
        return self._contacts.last_success()

    def _state_of(self, worker: WorkerProcess) -> WorkerState:
        silent = self._heartbeat.silent_seconds(worker.heartbeat) if self._heartbeat else 0.0
        return WorkerState(worker.number, worker.ready, silent)

    async def probe_storage(self) -> str | None:
        """Have a worker probe the storage, a different worker each time.

        Returns the storage's problem, an empty text, or None if no worker answered.
        """
        able = [worker for worker in self._supervisor.workers.values() if worker.can_serve]
        if not able:
            return None
        worker = min(able, key=lambda worker: (worker.number <= self._turn, worker.number))
        self._turn = worker.number
        answer = worker.probe_storage()
        await asyncio.wait({answer}, timeout=PROBE_SECONDS + _NO_ANSWER_SECONDS)
        # a worker that does not answer hangs, which says nothing about the storage
        return answer.result() if answer.done() and not answer.cancelled() else None


def denied_permissions(contacts: StorageContacts) -> tuple[str, ...]:
    """What the stores deny, with the missing permission."""
    return tuple(
        f"{f'storage {name}: ' if name else ''}S3 denies {api}, and has allowed none since: allow the"
        f" server's role {permission_for(api)}"
        for name, contact in contacts.by_name.items()
        for api in contact.denials()
    )


def hook_trouble(options: ServerOptions, metrics: Metrics) -> str:
    """Why users of the hook cannot log in; empty if all processes have its answers."""
    if options.hook is None or not (processes := metrics.table.total(HOOK_DOWN.row())):
        return ""
    return _safe(
        f"the hook {options.hook.address} does not answer {processes} of the server's processes: its"
        " users cannot log in; the event hook.down in the log says why"
    )


def aws_users_trouble(metrics: Metrics) -> tuple[str, ...]:
    """Why users of services of AWS cannot log in: one sentence for each that does not answer."""
    return tuple(
        f"{service} does not answer {processes} of the server's processes: the users there cannot log in; the"
        " event aws_users.down in the log says why"
        for service in AWS_USER_SERVICES
        if (processes := metrics.table.total(AWS_USERS_DOWN.row(service)))
    )


def shared_state_trouble(options: ServerOptions, metrics: Metrics) -> str:
    """Why replicas may know of different bans; empty if the table answers, or if there is none."""
    if options.shared_state is None or not metrics.table.total(SHARED_STATE_DOWN.row()):
        return ""
    codes = ""
    if options.shared_state.unproven_codes == "refuse":
        codes = ", and logins with a verification code are refused"
    return (
        f"the table {options.shared_state.dynamodb_table} does not answer: replicas may know of different"
        f" bans, and of quotas what they have stored themselves{codes}; the event shared_state.down or"
        " shared_state.quotas_down in the log says why"
    )


def failing_sinks(options: ServerOptions, metrics: Metrics) -> tuple[str, ...]:
    """Which sinks of events have accepted nothing for minutes: one sentence for each type of sink."""
    failing = []
    for kind in EVENT_SINKS:
        names = [name for name, sink in options.events.sinks.items() if sink.type == kind]
        if names and metrics.table.total(EVENT_SINKS_FAILING.row(kind)) > 0:
            failing.append(
                f"the {kind} sink {' or '.join(names)} has accepted no event for minutes: they wait in the"
                " outbox (`s3sftp events list`); the event events.delivery_failed in the log says why"
            )
    return tuple(failing)


def has_users(metrics: Metrics) -> bool:
    """Whether the configuration has users, who need no other source."""
    return metrics.table.total(USERS.row()) > 0


def current_phase(is_open: bool, is_stopping: bool) -> Phase:
    """Which phase a server is in, from start to end."""
    if is_stopping:
        return Phase.DRAINING
    return Phase.SERVING if is_open else Phase.STARTING


async def storage_problem(backend: Backend, given: Backend, options: ServerOptions) -> str:
    """The storage's problem when probed, if it has one: which storage, what failed, and advice. Never raises
    because of the storage.

    `given` is the backend as it was made, which may have an attribute `ready`.
    """
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await probe_storage(backend)
        if not getattr(given, "ready", True):
            return _safe(f"{_storage_of(options)}: it answers, but says that it is not ready")
    except TimeoutError:
        return _safe(
            f"{_storage_of(options)}: no answer in {PROBE_SECONDS:g} s: see that it runs, and the network"
        )
    except StorageError as error:
        if isinstance(error, PermissionDenied) and not error.lasting:
            return ""  # it answers, and serves only users who have logged in
        return f"{error}: {describe_storage_error(error, options)}"
    except Exception as error:  # a storage may raise anything
        return _safe(f"{_storage_of(options)}: {describe_unexpected(error)}")
    return ""


def describe_storage_error(error: StorageError, options: ServerOptions) -> str:
    """Describe an error for the operator: which storage, what it reported, and advice."""
    detail, advice = error.detail or "", _advice_on(error, options)
    parts = (_storage_of(options), detail, "" if advice in detail else advice)
    return _safe(": ".join(part for part in parts if part))


def _safe(text: str) -> str:
    return printable(without_url_secrets(text), _DETAIL_CHARACTERS)


async def probe_storage(backend: Backend) -> None:
    """Send the storage the smallest possible request.

    Raises StorageError: if it fails.
    """
    probe: Callable[[], Awaitable[None]] | None = getattr(backend, "probe", None)
    if probe is not None:
        await probe()
        return
    pages = backend.list_dir(Place(), Session(user="", session_id="probe"))
    async with aclosing(cast("AsyncGenerator[Any, None]", pages)):
        async for _ in pages:
            break


def _storage_of(options: ServerOptions) -> str:
    """The storage's name for the operator."""
    if options.backend == "s3" and options.s3 is not None:
        where = f" at {options.s3.endpoint_url}" if options.s3.endpoint_url else ""
        return f"bucket {options.s3.bucket}{where}"
    if options.backend == "local" and options.local is not None:
        return f"directory {options.local.root}"
    if options.backend == "service" and options.service is not None:
        return f"service at {options.service.socket}"
    return f"storage {options.backend}"


def _advice_on(error: StorageError, options: ServerOptions) -> str:
    if options.backend != "s3":
        return ""
    from s3sftp.backends.s3.error_advice import advice_for as of_s3  # not needed by a supervisor

    return of_s3(error)
