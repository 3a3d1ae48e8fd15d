"""`s3sftp serve`: run the server."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import click

from s3sftp.app import Application
from s3sftp.app_options import ServerOptions
from s3sftp.cli.allocation import return_large_blocks
from s3sftp.cli.configuration import options_from, storage_flags
from s3sftp.cli.failures import told_plainly
from s3sftp.telemetry.setup import configure_logging
from s3sftp.telemetry.tracing import configure_tracing, end_tracing


@click.command()
@storage_flags
@click.option("--host", help="Address to listen on; default: all.")
@click.option("--port", help="Port to listen on; default: 2022; 0 takes a free one.")
@click.option("--user", help="Name of a user who sees everything below the URL.")
@click.option("--authorized-keys", metavar="FILE", help="Public keys of --user.")
@click.option("--password-hash", metavar="HASH", help="Password of --user, from `s3sftp hash-password`.")
@click.option("--backend", help="`s3` (default) or `memory`.")
@click.option("--log-format", help="`json` (default) or `logfmt`.")
@click.option("--log-level", help="`debug`, `info` (default), `warning` or `error`.")
def serve(**flags: Any) -> None:
    """Serve a bucket over SFTP until told to stop.

    Every option can be in the configuration file, in the environment as S3SFTP_<GROUP>__<OPTION>, and the
    common ones are flags: flags win over the environment, the environment over the file.
    """
    with told_plainly():
        options = options_from(**flags)
        configure_logging(options.log)
        return_large_blocks()
        asyncio.run(_serve(options))


async def _serve(options: ServerOptions) -> None:
    shutdown = configure_tracing(os.environ)
    try:
        await Application(options).run()
    finally:
        await end_tracing(shutdown)
