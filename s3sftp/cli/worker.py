"""What a worker does, and what the template imports for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from s3sftp.app import Among, Application
from s3sftp.app_options import ServerOptions
from s3sftp.app_shares import read_file, share_of, unpack
from s3sftp.app_updates import Updates
from s3sftp.app_worker_memory import WorkerMemory
from s3sftp.auth import Accounts
from s3sftp.cli.allocation import return_large_blocks
from s3sftp.cli.event_loop import run
from s3sftp.cli.failures import told_plainly
from s3sftp.ssh.descriptors import raise_limit
from s3sftp.stopping import StopRequests
from s3sftp.telemetry.exporters import end_exporting
from s3sftp.telemetry.setup import log_without_waiting
from s3sftp.telemetry.tracing import configure_tracing
from s3sftp.whereabouts import tell_on_request
from s3sftp.workers import Post
from s3sftp.workers.messages import UsersLost


@dataclass(frozen=True, slots=True)
class Known:
    """What a template knows: a worker that is handed the same data does not read them again."""

    data: bytes
    """The options and users as they are handed over."""
    share: ServerOptions
    """What a worker makes of the options."""
    accounts: Accounts


def work(workers: int, known: Known | None, number: int, descriptors: Sequence[int]) -> None:
    """Serve what the supervisor hands over, as one of so many. The descriptors: link, options, counters."""
    link, options, counters = descriptors
    with told_plainly():
        data = read_file(options)
        os.close(options)  # it has secrets
        if known and known.data == data:
            mine, accounts = known.share, known.accounts
        else:
            whole, accounts = unpack(data)
            mine = share_of(whole, workers)
        log_without_waiting(mine.log, worker=number)
        return_large_blocks()
        raise_limit()
        memory = WorkerMemory.of_worker(counters, workers, number)
        os.close(counters)
        run(_work(mine, accounts, socket.socket(fileno=link), memory))


async def _work(
    options: ServerOptions, accounts: Accounts, link: socket.socket, memory: WorkerMemory
) -> None:
    tell_on_request()
    shutdown = configure_tracing(os.environ)
    requests = StopRequests()
    post = Post(link, requests)
    application = Application(options, accounts, Among(post, memory))
    post.look = application.look
    updates = Updates(accounts, application.replace_users, lambda: post.send(UsersLost()))
    post.on_users = updates.hand_in
    try:
        await application.run(lambda: updates.when_settled(post.ready), requests)
    finally:
        await updates.stop()
        post.close()
        await end_exporting(shutdown)
