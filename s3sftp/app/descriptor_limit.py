"""Computes how many file descriptors a process needs, raises the limit, and warns if it is too low."""

from __future__ import annotations

import math

from s3sftp.app.options import ServerOptions
from s3sftp.app.worker_options import worker_share
from s3sftp.auth.aws.options import MAX_CONNECTIONS as AWS_CONNECTIONS
from s3sftp.auth.hook.options import MAX_CONNECTIONS
from s3sftp.ssh import file_descriptors
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.app")
_USEFUL_CONNECTIONS = 10
"""The warning never suggests fewer connections than this."""


def storage_descriptors(options: ServerOptions) -> int:
    """Descriptors that a process with these options needs besides clients' connections: those to
    its storages, and to other sources of users."""
    of_storage = options.s3.max_connections if options.s3 else 0
    of_others = sum(each.max_connections for each in options.storages.values())
    of_aws = sum(
        source is not None
        for source in (
            options.dynamodb,
            options.secrets_manager,
            options.shared_state,  # of codes
            options.shared_state,  # of quotas
        )
    )
    of_hook = MAX_CONNECTIONS if options.hook else 0
    return of_storage + of_others + of_hook + of_aws * AWS_CONNECTIONS


def admin_descriptors(options: ServerOptions) -> int:
    """Descriptors that the admin port may open."""
    if options.admin.port is None:
        return 0
    from s3sftp.admin.connection_limits import MAX_CONNECTIONS

    return MAX_CONNECTIONS + 1


def ensure_descriptors(options: ServerOptions, workers: int) -> None:
    """Raise the limit as far as possible, and warn if it is still too low for the configured limits.

    A process may need one descriptor for each of its connections, and those to the storage and to
    other sources of users.
    Open files of the spool and of the local backend add to that, bounded by what each user may have open.
    """
    limit = file_descriptors.raise_limit()
    others = file_descriptors.BASE + storage_descriptors(worker_share(options, workers))
    serving = math.ceil(options.ssh.max_connections / workers) + others
    needed = max(serving, options.ssh.max_queued + file_descriptors.BASE) if workers > 1 else serving
    if limit < needed:
        most = (limit - others) * workers
        _log.warning(
            "server.too_few_descriptors",
            limit=limit,
            needed=needed,
            detail=f"set the limit of open files (ulimit -n, LimitNOFILE) to {needed} or more"
            + (f", or ssh.max_connections to {most} or less" if most >= _USEFUL_CONNECTIONS else ""),
        )
