"""`s3sftp demo`: runs an S3 store and a server on this machine, to try them out. Works without a network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

import click

from s3sftp.app.application import Application
from s3sftp.app.options import Configuration, load_configuration
from s3sftp.auth import hash_password
from s3sftp.cli.demo_store import BUCKET, REGION, DemoStore, DemoStoreFailed
from s3sftp.cli.event_loop import run
from s3sftp.config import Setting, SourceFiles
from s3sftp.runtime.task_dump import install_task_dump
from s3sftp.ssh import host_keys
from s3sftp.telemetry.log_setup import configure_nonblocking_logging
from s3sftp.telemetry.otel import configure_tracing, end_exporting

USER = "demo"


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Where data, keys and credentials are kept; they survive restarts.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=2022,
    show_default=True,
    help="SFTP port; 0 takes a free one.",
)
def demo(directory: Path, host: str, port: int) -> None:
    """Run an S3 store and an SFTP server in front of it, with a user to log in as."""
    run(_demo(directory.resolve(), host, port))


async def _demo(directory: Path, host: str, port: int) -> None:
    install_task_dump()
    shutdown = configure_tracing(os.environ)
    store = DemoStore(directory / "store")
    try:
        click.echo(f"starting the S3 store in {directory} …")
        await store.start()
        login = DemoLogin(directory)
        configuration = _configuration(directory, store, login, host, port)
        configure_nonblocking_logging(configuration.options.log)
        application = Application(configuration.options, configuration.logins.accounts)
        await _run(application, store, lambda: _print_instructions(directory, store, login, application.port))
    finally:
        await store.stop()
        await end_exporting(shutdown)


async def _run(application: Application, store: DemoStore, started: object) -> None:
    """Serve until asked to stop, or until the store has ended."""
    serving = asyncio.ensure_future(application.run(started))  # type: ignore[arg-type]
    storing = asyncio.ensure_future(store.ended())
    await asyncio.wait({serving, storing}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        raise DemoStoreFailed("the S3 store has ended")
    storing.cancel()
    await serving


class DemoLogin:
    """The demo user's key and password: made once, and kept in the directory."""

    def __init__(self, directory: Path) -> None:
        self.key_file = directory / "demo_key"
        if not self.key_file.exists():
            host_keys.generate(self.key_file)
        self.public_key = host_keys.load(self.key_file).export_public_key("openssh").decode().strip()
        file = directory / "demo_password"
        if not file.exists():
            with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
                stream.write(secrets.token_urlsafe(12) + "\n")
        self.password = file.read_text("utf-8").strip()


def _configuration(
    directory: Path, store: DemoStore, login: DemoLogin, host: str, port: int
) -> Configuration:
    values: dict[tuple[str, ...], object] = {
        ("listen", "host"): host,
        ("listen", "port"): port,
        ("server", "state_dir"): str(directory / "state"),
        ("server", "workers"): 1,
        ("log", "format"): "text",
        ("s3", "bucket"): BUCKET,
        ("s3", "region"): REGION,
        ("s3", "endpoint_url"): store.endpoint_url,
        ("s3", "addressing"): "path",
        ("s3", "access_key_id"): store.access_key,
        ("s3", "secret_access_key"): store.secret_key,
        ("users", USER, "authorized_keys"): login.public_key,
        ("users", USER, "password_hash"): hash_password(login.password),
        ("users", USER, "prefix"): "",
    }
    # the demo is the same everywhere, so the environment is ignored
    settings = [Setting(path, value, "demo") for path, value in values.items()]
    return load_configuration((), {}, settings, SourceFiles())


def _print_instructions(directory: Path, store: DemoStore, login: DemoLogin, port: int) -> None:
    known_hosts = directory / "known_hosts"
    keys = host_keys.load_host_keys((), directory / "state")
    known_hosts.write_text(
        "".join(f"{host_keys.known_hosts_line(key, '127.0.0.1', port)}\n" for key in keys), "utf-8"
    )
    click.echo(
        f"""
s3sftp is running; Ctrl-C stops it. Paste in another terminal:

  sftp -P {port} -i {login.key_file} -o UserKnownHostsFile={known_hosts} {USER}@127.0.0.1

and see the same files in the bucket:

  AWS_ACCESS_KEY_ID={store.access_key} AWS_SECRET_ACCESS_KEY={store.secret_key} AWS_REGION={REGION} \\
    aws --endpoint-url {store.endpoint_url} s3 ls --recursive s3://{BUCKET}

Other clients: 127.0.0.1 port {port}, user {USER}, password {login.password}
"""
    )
