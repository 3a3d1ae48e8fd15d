"""The internal command that runs a template as a program, with descriptors inherited from the supervisor."""

from __future__ import annotations

import os
import socket

import click

from s3sftp.cli.server_process import serve_as_template


@click.command(hidden=True)
@click.argument("requests", type=int)
@click.argument("backend")
@click.argument("workers", type=int)
def template(requests: int, backend: str, workers: int) -> None:
    """Fork workers for the supervisor. Not for people."""
    os.set_inheritable(requests, False)
    serve_as_template(socket.socket(fileno=requests), backend, workers)
