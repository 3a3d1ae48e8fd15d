"""`s3sftp serve`: run the server."""

from __future__ import annotations

from typing import Any

import click

from s3sftp.app_shares import worker_count
from s3sftp.cli.configuration import options_from, storage_flags
from s3sftp.cli.failures import told_plainly
from s3sftp.cli.running import serve_alone, serve_with_workers


@click.command()
@storage_flags
@click.option("--host", help="Address to listen on; default: all.")
@click.option("--port", help="Port to listen on; default: 2022; 0 takes a free one.")
@click.option("--user", help="Name of a user who sees everything below the URL.")
@click.option("--authorized-keys", metavar="FILE", help="Public keys of --user.")
@click.option("--password-hash", metavar="HASH", help="Password of --user, from `s3sftp hash-password`.")
@click.option("--backend", help="`s3` (default), `local`, `memory`, or one that is installed.")
@click.option("--workers", help="Processes that serve; default: one for each processor.")
@click.option("--log-format", help="`json` (default) or `logfmt`.")
@click.option("--log-level", help="`debug`, `info` (default), `warning` or `error`.")
def serve(**flags: Any) -> None:
    """Serve a bucket over SFTP until told to stop.

    Every option can be in the configuration file, in the environment as S3SFTP_<GROUP>__<OPTION>, and the
    common ones are flags: flags win over the environment, the environment over the file.
    """
    with told_plainly():
        options = options_from(**flags)
        workers = worker_count(options)
        if workers > 1:
            serve_with_workers(options, workers)
        else:
            serve_alone(options)
