"""`s3sftp partner-sheet`: writes a page with everything that a partner needs to log in."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any

import click

from s3sftp.app.options import ServerOptions
from s3sftp.auth import Account
from s3sftp.cli.configuration import ConfigurationReader, storage_flags
from s3sftp.cli.error_messages import end_without_user, print_error
from s3sftp.cli.partner_page import HostKey, Partner, page_of
from s3sftp.config import SourceFiles
from s3sftp.errors import ConfigurationError
from s3sftp.ssh import host_keys
from s3sftp.telemetry.log_setup import configure_logging

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 (compared with, not listened on)


def _host(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Accept a name or an address only: it goes into commands and files that the partner copies."""
    if text is None or _HOST.fullmatch(text):
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise click.BadParameter("should be a host name or an IP address, without a port") from None


@click.command("partner-sheet")
@click.argument("user")
@storage_flags
@click.option("--authorized-keys", metavar="FILE", help="Public keys of USER, as for `serve`.")
@click.option("--password-hash", metavar="HASH", help="Password of USER, as for `serve`.")
@click.option("--backend", help="As for `serve`.")
@click.option("--host", callback=_host, help="Name that the partner connects to; default: `listen.host`.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port; default: `listen.port`.")
@click.option(
    "--format", "style", type=click.Choice(["markdown", "text"]), default="markdown", show_default=True
)
def partner_sheet(
    user: str, host: str | None, port: int | None, style: str, authorized_keys: str | None, **flags: Any
) -> None:
    """Write a page for the partner who logs in as USER: where, how, and what the server's keys are.

    It has no secrets. Where a value is not known, such as the name of a load balancer, the page has HOST or
    PORT, and a message on standard error. Exits with 1 if there is no such user, with 2 if the configuration
    is wrong or there are no host keys yet.
    """
    ours = user if authorized_keys or flags["password_hash"] else None
    reader = ConfigurationReader(**flags, user=ours, authorized_keys=authorized_keys, needs_users=False)
    configuration = reader.read(SourceFiles())
    options, accounts = configuration.options, configuration.logins.accounts
    configure_logging(options.log.model_copy(update={"level": "error"}))
    if user not in accounts:
        end_without_user(user, list(accounts))
    partner = _partner(accounts[user])
    keys = keys_of(options)
    host = host or _listening_on(options)
    port = port or options.listen.port or None
    _print_what_is_missing(accounts[user], host, port)
    click.echo(page_of(partner, keys, host, port, style == "markdown"))


def keys_of(options: ServerOptions) -> list[HostKey]:
    """The host keys that the server has, or will have when it starts. Makes none.

    Raises ConfigurationError: if the configuration is wrong, or there are no keys yet.
    """
    files = list(options.ssh.host_keys) or _kept_in(options.server.state_dir)
    loaded = [host_keys.load(file) for file in files]
    seen: set[str] = set()
    found = []
    for key in loaded:
        found.append(HostKey(key, used=key.get_algorithm() not in seen))
        seen.add(key.get_algorithm())
    return found


def _kept_in(directory: Path) -> list[Path]:
    try:
        there = set(os.listdir(directory))
    except FileNotFoundError:
        there = set()
    except OSError as error:
        raise ConfigurationError(
            [f"server.state_dir = {str(directory)!r}: {error.strerror or error}; host keys are there"]
        ) from error
    files = [directory / name for name in host_keys.FILES if name in there]
    if not files:
        raise ConfigurationError(
            [
                f"there are no host keys in {directory} yet: `s3sftp serve` makes them when it first starts, "
                "or make one with `s3sftp host-key generate FILE` and name FILE in ssh.host_keys"
            ]
        )
    return files


def _partner(account: Account) -> Partner:
    who = account.identity
    has_password = account.password_hash is not None
    return Partner(
        who.user,
        has_password,
        account.keys,
        who.read_only,
        who.directories,
        who.login_methods,
        who.login_rules,
    )


def _listening_on(options: ServerOptions) -> str | None:
    return None if options.listen.host in _EVERYWHERE else options.listen.host


def _print_what_is_missing(account: Account, host: str | None, port: int | None) -> None:
    if host is None:
        print_error(
            "s3sftp: which name partners connect to is not configured; give it as --host: HOST stands for it"
        )
    if port is None:
        print_error(
            "s3sftp: which port partners connect to is not configured; give it as --port: PORT stands for it"
        )
    if not account.can_log_in:
        print_error(f"s3sftp: {account.identity.user} cannot log in: {account.lack}")
