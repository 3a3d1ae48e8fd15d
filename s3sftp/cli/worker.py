"""The worker process, which serves the supervisor's connections. The template imports it before it forks."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from s3sftp import __version__
from s3sftp.app.application import Application, WorkerContext
from s3sftp.app.handover import AccountUpdates, unpack
from s3sftp.app.options import ServerOptions
from s3sftp.app.worker_memory import WorkerMemory
from s3sftp.app.worker_options import worker_share
from s3sftp.auth import Accounts
from s3sftp.cli.error_messages import reported_errors
from s3sftp.cli.event_loop import run
from s3sftp.cli.malloc_tuning import return_large_blocks
from s3sftp.runtime.memory_files import read_file
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.runtime.task_dump import install_task_dump
from s3sftp.ssh.file_descriptors import raise_limit
from s3sftp.telemetry.audit import start_audit
from s3sftp.telemetry.log_setup import configure_nonblocking_logging
from s3sftp.telemetry.otel import configure_tracing, end_exporting
from s3sftp.workers import WorkerGate
from s3sftp.workers.messages import UsersLost


@dataclass(frozen=True, slots=True)
class PreloadedConfiguration:
    """The configuration that a template has parsed, so that a worker that gets the same data need not parse
    it again."""

    data: bytes
    """The serialized options and users, as they are handed over."""
    share: ServerOptions
    """A worker's share of the options."""
    accounts: Accounts


def work(workers: int, known: PreloadedConfiguration | None, number: int, descriptors: Sequence[int]) -> None:
    """Serve the supervisor's connections as one of `workers` workers. The descriptors: link, options,
    counters."""
    link, options, counters = descriptors
    with reported_errors():
        data = read_file(options)
        os.close(options)  # it contains secrets
        if known and known.data == data:
            mine, accounts = known.share, known.accounts
        else:
            whole, accounts = unpack(data)
            mine = worker_share(whole, workers)
        configure_nonblocking_logging(mine.log, worker=number)
        start_audit(mine.audit, __version__, worker=number)
        return_large_blocks()
        raise_limit()
        memory = WorkerMemory.of_worker(counters, workers, number)
        os.close(counters)
        run(_work(mine, accounts, socket.socket(fileno=link), memory))


async def _work(
    options: ServerOptions, accounts: Accounts, link: socket.socket, memory: WorkerMemory
) -> None:
    install_task_dump()
    shutdown = configure_tracing(os.environ, options.tracing)
    requests = ShutdownRequests()
    gate = WorkerGate(link, requests)
    application = Application(options, accounts, WorkerContext(gate, memory))
    gate.probe_storage = application.probe_storage
    gate.questions.answer = application.answer_question
    updates = AccountUpdates(accounts, application.replace_users, lambda: gate.send(UsersLost()))
    gate.apply_users, gate.when_users_are_applied = updates.enqueue, updates.when_settled
    try:
        await application.run(lambda: updates.when_settled(gate.ready), requests)
    finally:
        await updates.stop()
        gate.close()
        await end_exporting(shutdown)
