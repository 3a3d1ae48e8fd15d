"""The command that the supervisor starts workers with. Not for people: it needs what it inherits."""

from __future__ import annotations

import os
import signal
import socket

import click

from s3sftp.app import Among, Application
from s3sftp.app_options import ServerOptions
from s3sftp.app_shares import CHANGES, MADE, METRICS, STORED, UPLOADS, columns_for, from_file, share_of
from s3sftp.cli.allocation import return_large_blocks
from s3sftp.cli.event_loop import run
from s3sftp.cli.failures import told_plainly
from s3sftp.counters import Table
from s3sftp.stopping import StopRequests
from s3sftp.telemetry.exporters import end_exporting
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.setup import log_without_waiting
from s3sftp.telemetry.tracing import configure_tracing
from s3sftp.whereabouts import tell_on_request
from s3sftp.workers import Post


@click.command(hidden=True)
@click.argument("number", type=int)
@click.argument("link", type=int)
@click.argument("workers", type=int)
@click.argument("options", type=int)
@click.argument("counters", type=int)
def worker(number: int, link: int, workers: int, options: int, counters: int) -> None:
    """Serve what the supervisor hands over. Not for people."""
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, signal.SIG_IGN)  # the supervisor tells when to stop
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for descriptor in (link, options, counters):
        os.set_inheritable(descriptor, False)
    with told_plainly():
        mine = share_of(from_file(options), workers)
        os.close(options)  # it has secrets
        log_without_waiting(mine.log, worker=number)
        return_large_blocks()
        table = Table.shared(counters, columns_for(workers), number - 1)
        run(_work(mine, socket.socket(fileno=link), table))


async def _work(options: ServerOptions, link: socket.socket, table: Table) -> None:
    tell_on_request()
    shutdown = configure_tracing(os.environ)
    requests = StopRequests()
    post = Post(link, requests)
    among = Among(
        post,
        table.part(*CHANGES),
        table.part(*MADE),
        table.part(*UPLOADS),
        table.part(*STORED),
        Metrics(table.part(*METRICS)),
    )
    try:
        await Application(options, among).run(post.ready, requests)
    finally:
        post.close()
        await end_exporting(shutdown)
