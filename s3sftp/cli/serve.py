"""`s3sftp serve`: runs the server."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import click

from s3sftp.app.worker_options import worker_count
from s3sftp.cli.configuration import ConfigurationReader, storage_flags
from s3sftp.cli.server_process import LoadedConfiguration, serve_alone, serve_with_workers
from s3sftp.config import SourceFiles


@click.command()
@storage_flags
@click.option("--host", help="Address to listen on; default: all.")
@click.option("--port", help="Port to listen on; default: 2022; 0 takes a free one.")
@click.option("--user", help="Name of a user who sees everything below the URL.")
@click.option("--authorized-keys", metavar="FILE", help="Public keys of --user.")
@click.option("--password-hash", metavar="HASH", help="Password of --user, from `s3sftp hash-password`.")
@click.option("--backend", help="`s3` (default), `local`, `memory`, or one that is installed.")
@click.option("--workers", help="Processes that serve; default: one for each processor.")
@click.option("--log-format", help="`json`, `text` (default on a terminal) or `logfmt`.")
@click.option("--log-level", help="`debug`, `info` (default), `warning` or `error`.")
def serve(**flags: Any) -> None:
    """Serve a bucket over SFTP until it is stopped.

    Every option can be set in the configuration file or in the environment as S3SFTP_<GROUP>__<OPTION>; the
    common ones are also flags. Flags win over the environment, the environment over the file. Files of users
    and keys are read again when they change, and on SIGHUP.
    """
    # closing the terminal must not end the server, even before it can handle a request to reload
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reader, sources = ConfigurationReader(**flags), SourceFiles()
    configuration = reader.read(sources)
    workers = worker_count(configuration.options)
    loaded = LoadedConfiguration.of(partial(reader.read, again=True), configuration, sources)
    if workers > 1:
        serve_with_workers(loaded, workers)
    else:
        serve_alone(loaded)
