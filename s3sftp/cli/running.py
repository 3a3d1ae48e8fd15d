"""The server as one process, or as a supervisor with workers.

What serves is imported late: a supervisor needs neither an S3 client nor the memory that one takes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from s3sftp import __version__
from s3sftp.app_accounts import to_changes_file
from s3sftp.app_descriptors import enough_descriptors, other_descriptors
from s3sftp.app_options import Configuration, ServerOptions
from s3sftp.app_shares import CHANGES, TABLE_ROWS, UPLOADS, share_of, to_file
from s3sftp.auth import Accounts, tell_what_is_wrong
from s3sftp.backends.s3.generations import Generations
from s3sftp.cli.event_loop import run
from s3sftp.config import Sources
from s3sftp.counters import Table, make_shared
from s3sftp.reloading import Apply, Read, Reloaded, Reloading
from s3sftp.ssh import FrontDoor, load_host_keys
from s3sftp.ssh.algorithms import warn_of_weak
from s3sftp.telemetry import get_logger
from s3sftp.whereabouts import tell_on_request
from s3sftp.workers import Crew, Patience, Supervisor, WorkersFailed

_log = get_logger("s3sftp.workers")
_END_SECONDS = 15.0
"""What a worker may take to end beyond the limits that transfers have."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is configured, the files that it came from, and how it is read again."""

    read: Read
    configuration: Configuration
    sources: Sources
    reloaded: Reloaded = lambda _applied, _users: None
    """Called after each reading, for metrics."""

    @property
    def options(self) -> ServerOptions:
        return self.configuration.options

    @property
    def accounts(self) -> Accounts:
        return self.configuration.logins.accounts

    def reloading(self, apply: Apply) -> Reloading:
        """From now on SIGHUP asks for another reading; `apply` is given the users that it finds."""
        reloading = Reloading(self.read, self.configuration, self.sources, apply, self.reloaded)
        reloading.install()
        return reloading


def serve_alone(loaded: Loaded) -> None:
    """Serve in this process until told to stop."""
    from s3sftp.cli.allocation import return_large_blocks

    return_large_blocks()
    tell_what_is_wrong(loaded.configuration.logins)
    enough_descriptors(loaded.options, 1)
    run(_serve(loaded))


async def _serve(loaded: Loaded) -> None:
    from s3sftp.app import Application
    from s3sftp.telemetry.tracing import configure_tracing, end_tracing

    tell_on_request()
    shutdown = configure_tracing(os.environ)
    gc.freeze()  # what is imported stays: to look through it again and again would hold up sessions
    application = Application(loaded.options, loaded.accounts)
    reloading = loaded.reloading(application.replace_users)
    try:
        await application.run(reloading.start)
    finally:
        await reloading.stop()
        await end_tracing(shutdown)


async def supervise(loaded: Loaded, workers: int) -> None:
    """Have so many workers serve until told to stop. Raises ConfigurationError, CannotListen."""
    options = loaded.options
    tell_on_request()
    warn_of_weak(options.ssh.offer)
    tell_what_is_wrong(loaded.configuration.logins)
    enough_descriptors(options, workers)  # workers inherit the limit
    # the first start makes the keys, once
    await asyncio.to_thread(load_host_keys, options.ssh.host_keys, options.server.state_dir)
    counters, handed = make_shared(TABLE_ROWS, workers), to_file(options, loaded.accounts)
    try:
        await _supervise(loaded, workers, counters, handed)
    except WorkersFailed as failed:  # it has said itself why
        sys.exit(failed.status)
    finally:
        os.close(counters)
        os.close(handed)


async def _supervise(loaded: Loaded, workers: int, counters: int, handed: int) -> None:
    options = loaded.options

    def gone(number: int) -> None:
        # its uploads are no more, and what it was changing when it ended is to be asked for again
        table = Table.shared(counters, workers, number - 1)
        table.part(*UPLOADS).clear_column(number - 1)
        Generations(table.part(*CHANGES)).everything_changed()

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
        FrontDoor(options.ssh, options.auth),
        crew,
        options.server.drain_timeout.total_seconds(),
        options.sftp.close_timeout.total_seconds() + _END_SECONDS,
    )

    async def apply(accounts: Accounts) -> None:
        # those who are removed are sent away by their workers
        supervisor.hand_users(await asyncio.to_thread(to_changes_file, loaded.accounts, accounts))

    reloading = loaded.reloading(apply)

    def started() -> None:
        _log.info(
            "started",
            version=__version__,
            backend=options.backend,
            users=len(loaded.accounts),
            workers=workers,
        )
        reloading.start()

    try:
        await supervisor.run(started)
    finally:
        await reloading.stop()


def worker_command(number: int, link: int, workers: int, options: int, counters: int) -> Sequence[str]:
    """The command line of a worker, with the descriptors that it inherits."""
    # a module in the directory that we were started in is found only if it was so for us
    safe = [] if os.getcwd() in sys.path or "" in sys.path else ["-P"]
    return [
        *(sys.executable, *safe, "-m", "s3sftp", "worker"),
        *map(str, (number, link, workers, options, counters)),
    ]
