"""Runs the server as one process, or as a supervisor with workers that are forked from a template.

Serving code is imported before the template is forked, so that all processes share its memory.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from s3sftp import __version__
from s3sftp.app.admin_api import AdminApi, WholeServer
from s3sftp.app.backends import require_state, with_possible_journal
from s3sftp.app.config_reload import Apply, ConfigReloader, Read
from s3sftp.app.control_socket import control_socket
from s3sftp.app.descriptor_limit import admin_descriptors, ensure_descriptors, storage_descriptors
from s3sftp.app.handover import pack, to_file, write_account_changes
from s3sftp.app.health import SupervisorHealth, admin_port, import_admin_port
from s3sftp.app.options import Configuration, ServerOptions
from s3sftp.app.process_questions import OnlyProcess, WorkerProcesses
from s3sftp.app.shared_state import ban_answers
from s3sftp.app.storage_contacts import shared_rows
from s3sftp.app.worker_memory import WorkerMemory, make_memory
from s3sftp.app.worker_options import worker_share
from s3sftp.auth import Accounts, log_account_problems
from s3sftp.cli.event_loop import run
from s3sftp.config import SourceFiles
from s3sftp.fs import SharedQuotaCounts
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.runtime.task_dump import install_task_dump
from s3sftp.ssh import ServerAdmissionGate, load_host_keys
from s3sftp.ssh.algorithms import warn_of_weak
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.audit import start_audit
from s3sftp.telemetry.audit_outputs import require_audit
from s3sftp.telemetry.log_setup import configure_nonblocking_logging
from s3sftp.telemetry.metric_catalogue import CONFIG_RELOADS, USERS, WORKER_RESTARTS, WORKERS, WORKERS_READY
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.metrics_export import configure_exporting
from s3sftp.telemetry.otel import configure_tracing, end_exporting
from s3sftp.workers import HeartbeatPolicy, Supervisor, TemplateClient, WorkersFailed, WorkerSpec
from s3sftp.workers.child_process import ChildProcess
from s3sftp.workers.template import adopt_orphans, can_fork, fork_template, serve_requests

_log = get_logger("s3sftp.workers")
_END_SECONDS = 15.0
"""Seconds that a worker may take to end beyond the limits of transfers."""


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """The configuration, the files that it came from, and how to read it again."""

    read: Read
    configuration: Configuration
    sources: SourceFiles
    options: ServerOptions
    """The configured options, reduced to what is possible on this machine."""
    lacking: str | None
    """What is not possible, and why."""

    @classmethod
    def of(cls, read: Read, configuration: Configuration, sources: SourceFiles) -> LoadedConfiguration:
        """Find out what is possible on this machine. Blocking."""
        configured = configuration.without_tables()
        return cls(read, configured, sources, *with_possible_journal(configured.options))

    def log_what_is_lacking(self) -> None:
        """Log what the server does without."""
        if self.lacking:
            _log.warning("journal.unavailable", detail=self.lacking)

    @property
    def accounts(self) -> Accounts:
        return self.configuration.logins.accounts

    def reloading(self, apply: Apply, metrics: Metrics) -> ConfigReloader:
        """Read the configuration again on SIGHUP from now on; `apply` gets the users that it contains."""

        def reloaded(applied: bool, users: int) -> None:
            metrics.add(CONFIG_RELOADS.row("ok" if applied else "failed"))
            metrics.set(USERS.row(), users)

        reloading = ConfigReloader(self.read, self.configuration, self.sources, apply, reloaded)
        reloading.install()
        return reloading


def serve_alone(loaded: LoadedConfiguration) -> None:
    """Serve in this process until it is stopped."""
    from s3sftp.cli.malloc_tuning import return_large_blocks

    require_audit(loaded.options.audit)
    configure_nonblocking_logging(loaded.options.log)
    start_audit(loaded.options.audit, __version__)
    return_large_blocks()
    log_account_problems(loaded.configuration.logins, has_other_users=loaded.options.has_other_users)
    loaded.log_what_is_lacking()
    ensure_descriptors(loaded.options, 1)
    run(_serve(loaded))


async def _serve(loaded: LoadedConfiguration) -> None:
    from s3sftp.app.application import Application

    install_task_dump()
    tracing = configure_tracing(os.environ, loaded.options.tracing)
    gc.freeze()  # imported modules stay: scanning them again and again would delay sessions
    application = Application(loaded.options, loaded.accounts)
    exporting = configure_exporting(application.metrics, os.environ)
    reloading = loaded.reloading(application.replace_users, application.metrics)
    requests = ShutdownRequests()
    whole = WholeServer(
        loaded.options,
        1,
        OnlyProcess(application.answer_question),
        lambda: application.accounts,
        application.metrics,
        lambda: application.facts().phase,
        requests.ask_before_signal,
    )
    try:
        async with (
            admin_port(
                loaded.options,
                application.facts,
                application.probe_storage,
                application.last_success,
                application.metrics,
                AdminApi(whole) if loaded.options.admin.has_api else None,
            ),
            ban_answers(loaded.options, lambda: application.defender, application.metrics) as answer,
            control_socket(loaded.options.server.state_dir, answer),
        ):
            whole.bans = answer
            requests.install()
            await application.run(reloading.start, requests)
    finally:
        await reloading.stop()
        await end_exporting(tracing, exporting)


def serve_with_workers(loaded: LoadedConfiguration, workers: int) -> None:
    """Serve with `workers` workers until it is stopped.

    Raises ConfigurationError: if the storage cannot be prepared.
    Raises CannotListen: if the port cannot be opened.
    """
    from s3sftp.app.backends import import_backend, prepare_backend
    from s3sftp.cli.malloc_tuning import return_what_is_done_with
    from s3sftp.cli.worker import PreloadedConfiguration, work

    options = loaded.options
    require_audit(options.audit)
    import_backend(options.backend)
    import_admin_port(options)
    known = PreloadedConfiguration(
        pack(options, loaded.accounts), worker_share(options, workers), loaded.accounts
    )
    run(prepare_backend(known.share))
    return_what_is_done_with()
    # a storage of another package may have started threads: then the template is started as a program
    forked = fork_template(partial(work, workers, known)) if can_fork() else None
    adopt_orphans()
    configure_nonblocking_logging(options.log)  # starts a thread
    start_audit(options.audit, __version__)  # another one
    template = TemplateClient(lambda requests: template_command(requests, options.backend, workers), forked)
    run(_supervised(loaded, workers, template, known.data))


def serve_as_template(requests: socket.socket, backend: str, workers: int) -> None:
    """Fork workers for a supervisor until it ends."""
    from s3sftp.app.backends import import_backend
    from s3sftp.cli.worker import work

    import_backend(backend)
    serve_requests(requests, partial(work, workers, None))


async def _supervised(
    loaded: LoadedConfiguration, workers: int, template: TemplateClient, data: bytes
) -> None:
    try:
        await supervise(loaded, workers, template, data)
    finally:
        await template.close()


async def supervise(loaded: LoadedConfiguration, workers: int, template: TemplateClient, data: bytes) -> None:
    """Run the supervisor from its start to its end. `data` is handed to each worker."""
    options = loaded.options
    install_task_dump()
    warn_of_weak(options.ssh.offer)
    log_account_problems(loaded.configuration.logins, has_other_users=loaded.options.has_other_users)
    loaded.log_what_is_lacking()
    ensure_descriptors(options, workers)
    # the first start makes the keys, once
    await asyncio.to_thread(load_host_keys, options.ssh.host_keys, options.server.state_dir)
    await asyncio.to_thread(require_state, options)  # reported once, not by each worker
    counters, handed = make_memory(workers, shared_rows(options)), to_file(data)
    try:
        await _supervise(loaded, workers, template, counters, handed)
    except WorkersFailed as failed:  # it has logged the reason
        sys.exit(failed.status)
    finally:
        os.close(counters)
        os.close(handed)


async def _supervise(
    loaded: LoadedConfiguration, workers: int, template: TemplateClient, counters: int, handed: int
) -> None:
    options = loaded.options
    memory = WorkerMemory.of_supervisor(counters, workers)
    quotas = SharedQuotaCounts(memory.quotas)
    metrics = Metrics(memory.metrics, workers, options.storage_names)
    metrics.set(WORKERS.row(), workers)
    metrics.set(USERS.row(), len(loaded.accounts))

    async def start(number: int, link: socket.socket) -> ChildProcess:
        return await template.start(number, (link.fileno(), handed, counters))

    def gone(number: int) -> None:
        memory.uploads.clear_column(number - 1)  # the worker's uploads have ended
        memory.handles.clear_column(number - 1)
        quotas.worker_is_gone(number - 1)
        metrics.worker_is_gone(number - 1)
        metrics.add(WORKER_RESTARTS.row())

    spec = WorkerSpec(
        workers,
        start,
        gone,
        storage_descriptors(worker_share(options, workers)),
        HeartbeatPolicy.of(options.server.worker_timeout.total_seconds()),
        admin_descriptors(options),
    )
    gate = ServerAdmissionGate(options.ssh, options.auth, metrics)
    supervisor = Supervisor(
        options.listen,
        gate,
        spec,
        options.server.drain_timeout.total_seconds(),
        options.sftp.close_timeout.total_seconds() + _END_SECONDS,
        options.server.drain_delay.total_seconds(),
    )
    health = SupervisorHealth(options, supervisor, memory.storage, metrics)

    metrics.observe(WORKERS_READY, lambda: sum(worker.serves for worker in health.facts().workers))

    current = [loaded.accounts]
    requests = ShutdownRequests()
    whole = WholeServer(
        options,
        workers,
        WorkerProcesses(supervisor),
        lambda: current[0],
        metrics,
        lambda: health.facts().phase,
        requests.ask_before_signal,
    )

    async def apply(accounts: Accounts) -> None:
        current[0] = accounts
        # each worker disconnects users who have been removed
        supervisor.send_users(await asyncio.to_thread(write_account_changes, loaded.accounts, accounts))

    reloading = loaded.reloading(apply, metrics)

    resting: list[asyncio.Task[None]] = []

    def started() -> None:
        _log.info(
            "server.started",
            version=__version__,
            backend=options.backend,
            users=len(loaded.accounts),
            workers=workers,
        )
        resting.append(asyncio.create_task(template.rest()))

    exporting = configure_exporting(metrics, os.environ)
    try:
        async with (
            admin_port(
                options,
                health.facts,
                health.probe_storage,
                health.last_success,
                metrics,
                AdminApi(whole) if options.admin.has_api else None,
            ),
            ban_answers(options, lambda: gate.defender, metrics) as answer,
            control_socket(options.server.state_dir, answer),
        ):
            whole.bans = answer
            await supervisor.run(started, opened=reloading.start, stop=requests)
    finally:
        await asyncio.gather(*resting, return_exceptions=True)
        await reloading.stop()
        await end_exporting(exporting)


def template_command(requests: int, backend: str, workers: int) -> Sequence[str]:
    """The command line of a template, with the descriptor that it inherits."""
    # Python finds a module in the working directory only if it did so for this process
    safe = [] if _imports_from_directory() else ["-P"]
    return [sys.executable, *safe, "-m", "s3sftp", "template", str(requests), backend, str(workers)]


def _imports_from_directory() -> bool:
    """Whether Python finds modules in the working directory."""
    try:
        return "" in sys.path or os.getcwd() in sys.path
    except FileNotFoundError:  # the directory has been removed
        return False
