"""The server as one process, or as a supervisor with workers.

What serves is imported late: a supervisor needs neither an S3 client nor the memory that one takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from s3sftp import __version__
from s3sftp.app_descriptors import enough_descriptors, other_descriptors
from s3sftp.app_options import ServerOptions
from s3sftp.app_shares import CHANGES, METRICS, TABLE_ROWS, UPLOADS, columns_for, share_of, to_file
from s3sftp.auth import read_keys, tell_what_is_wrong
from s3sftp.backends.s3.generations import Generations
from s3sftp.cli.event_loop import run
from s3sftp.counters import Table, make_shared
from s3sftp.ssh import FrontDoor, load_host_keys
from s3sftp.ssh.algorithms import warn_of_weak
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.exporters import end_exporting
from s3sftp.telemetry.exporting import configure_exporting
from s3sftp.telemetry.instruments import READY, USERS, WORKER_RESTARTS, WORKERS, WORKERS_READY
from s3sftp.telemetry.metrics import Metrics
from s3sftp.whereabouts import tell_on_request
from s3sftp.workers import Crew, Patience, Supervisor, WorkersFailed

_log = get_logger("s3sftp.workers")
_END_SECONDS = 15.0
"""What a worker may take to end beyond the limits that transfers have."""


def serve_alone(options: ServerOptions) -> None:
    """Serve in this process until told to stop."""
    from s3sftp.cli.allocation import return_large_blocks

    return_large_blocks()
    enough_descriptors(options, 1)
    run(_serve(options))


async def _serve(options: ServerOptions) -> None:
    from s3sftp.app import Application
    from s3sftp.telemetry.tracing import configure_tracing

    tell_on_request()
    application = Application(options)
    tracing = configure_tracing(os.environ)
    exporting = configure_exporting(application.metrics, os.environ)
    try:
        await application.run()
    finally:
        await end_exporting(tracing, exporting)


async def supervise(options: ServerOptions, workers: int) -> None:
    """Have so many workers serve until told to stop. Raises ConfigurationError, CannotListen."""
    tell_on_request()
    warn_of_weak(options.ssh.offer)
    tell_what_is_wrong(options.users, read_keys(options.users))
    enough_descriptors(options, workers)  # workers inherit the limit
    # the first start makes the keys, once
    await asyncio.to_thread(load_host_keys, options.ssh.host_keys, options.server.state_dir)
    counters, handed = make_shared(TABLE_ROWS, columns_for(workers)), to_file(options)
    try:
        await _supervise(options, workers, counters, handed)
    except WorkersFailed as failed:  # it has said itself why
        sys.exit(failed.status)
    finally:
        os.close(counters)
        os.close(handed)


async def _supervise(options: ServerOptions, workers: int, counters: int, handed: int) -> None:
    table = Table.shared(counters, columns_for(workers), column=workers)
    metrics = Metrics(table.part(*METRICS), workers)
    metrics.set(WORKERS.row(), workers)
    metrics.set(USERS.row(), len(options.users))

    def gone(number: int) -> None:
        # its uploads are no more, and what it was changing when it ended is to be asked for again
        table.part(*UPLOADS).clear_column(number - 1)
        Generations(table.part(*CHANGES)).everything_changed()
        metrics.worker_is_gone(number - 1)
        metrics.add(WORKER_RESTARTS.row())

    crew = Crew(
        workers,
        lambda number, link: worker_command(number, link, workers, handed, counters),
        (handed, counters),
        gone,
        other_descriptors(share_of(options, workers)),
        Patience.of(options.server.worker_timeout.total_seconds()),
    )
    supervisor = Supervisor(
        options.listen,
        FrontDoor(options.ssh, options.auth, metrics),
        crew,
        options.server.drain_timeout.total_seconds(),
        options.sftp.close_timeout.total_seconds() + _END_SECONDS,
    )

    metrics.observe(WORKERS_READY, lambda: supervisor.workers_ready)
    metrics.observe(READY, lambda: supervisor.ready)

    def started() -> None:
        _log.info(
            "started", version=__version__, backend=options.backend, users=len(options.users), workers=workers
        )

    exporting = configure_exporting(metrics, os.environ)
    try:
        await supervisor.run(started)
    finally:
        await end_exporting(exporting)


def worker_command(number: int, link: int, workers: int, options: int, counters: int) -> Sequence[str]:
    """The command line of a worker, with the descriptors that it inherits."""
    # a module in the directory that we were started in is found only if it was so for us
    safe = [] if os.getcwd() in sys.path or "" in sys.path else ["-P"]
    return [
        *(sys.executable, *safe, "-m", "s3sftp", "worker"),
        *map(str, (number, link, workers, options, counters)),
    ]
