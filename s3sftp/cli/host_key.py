"""`s3sftp host-key`: makes host keys, and shows what clients need to know about them."""

from __future__ import annotations

import os
from pathlib import Path

import asyncssh
import click

from s3sftp.app.options import default_state_dir
from s3sftp.ssh import host_keys

_KINDS = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}


@click.group("host-key")
def host_key() -> None:
    """Make a host key, or show the fingerprints of those that are there."""


@host_key.command()
@click.option("--type", "kind", type=click.Choice(list(_KINDS)), default="ed25519", show_default=True)
@click.argument("file", type=click.Path(path_type=Path))
def generate(kind: str, file: Path) -> None:
    """Write a new private key to FILE, which must not exist."""
    if not file.name:
        raise click.UsageError("FILE should be the name of a file")
    _describe(host_keys.generate(file, _KINDS[kind]), "HOST", 2022)


@host_key.command()
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where the server keeps its state.")
@click.option("--host", default="localhost", show_default=True, help="Name that clients connect to.")
@click.option("--port", type=int, default=2022, show_default=True, help="Port that clients connect to.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
def show(state_dir: Path | None, host: str, port: int, file: Path | None) -> None:
    """Show fingerprint, public key and known_hosts line of FILE, or of every generated key."""
    directory = state_dir or default_state_dir()
    # only existing keys: the server makes the others when it starts, and may never have started
    kept = [each for name in host_keys.FILES if os.path.lexists(each := directory / name)]
    for each in [file] if file else kept or [directory / next(iter(host_keys.FILES))]:
        _describe(host_keys.load(each), host, port)


def _describe(key: asyncssh.SSHKey, host: str, port: int) -> None:
    click.echo(f"fingerprint  {key.get_fingerprint()}  {key.get_algorithm()}")
    click.echo(f"public key   {key.export_public_key('openssh').decode().strip()}")
    click.echo(f"known_hosts  {host_keys.known_hosts_line(key, host, port)}")
