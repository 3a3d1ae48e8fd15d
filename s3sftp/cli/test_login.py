"""`s3sftp test-login`: tries a login and operations with the server's own code, and says what would refuse
them."""

from __future__ import annotations

import io
import ipaddress
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

import asyncssh
import click

from s3sftp.app.login_report import KnownBan, LoginReport
from s3sftp.app.login_trial import Credentials, LoginTrial, TriedLogin
from s3sftp.app.operation_trial import (
    USAGES,
    OperationTrial,
    TriedOperation,
    WantedOperation,
    parse_operation,
    storage_to_read,
)
from s3sftp.app.options import Configuration
from s3sftp.app.user_sources import start_sources
from s3sftp.auth import AuthGateway, Certificate, ConfiguredUsers, Identity, normalized_address
from s3sftp.auth.login_time import login_time, logins_at
from s3sftp.auth.presented_keys import UnusableKeyFile, read_presented
from s3sftp.cli.configuration import ConfigurationReader
from s3sftp.cli.event_loop import run
from s3sftp.cli.known_ban import known_ban
from s3sftp.config import SourceFiles
from s3sftp.errors import StorageError
from s3sftp.telemetry.log_setup import configure_logging
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.options import LogOptions

_PATH = click.Path(path_type=Path)
_ANOTHER_TIME = KnownBan("unknown", "bans are those of now, and --at asks about another time")


@click.command("test-login")
@click.argument("user")
@click.option("--key", "keys", type=_PATH, multiple=True, help="A public or private key that the client has.")
@click.option("--certificate", "certificates", type=_PATH, multiple=True, help="An OpenSSH certificate.")
@click.option("--password", is_flag=True, help="Ask for the password, or read it from standard input.")
@click.option("--code", help="The verification code.")
@click.option("--from", "address", metavar="IP", required=True, help="The address of the client.")
@click.option("--at", metavar="TIME", help="When, such as 2027-01-31T18:00:00Z; default: now.")
@click.option("--try", "tries", metavar="OPERATION", multiple=True, help=f"{', '.join(USAGES)}.")
@click.option(
    "--config", "config_file", type=_PATH, envvar="S3SFTP_CONFIG", help="Configuration file (TOML)."
)
@click.option("--json", "as_json", is_flag=True, help="An object instead of lines.")
def test_login(
    user: str,
    keys: Sequence[Path],
    certificates: Sequence[Path],
    password: bool,
    code: str | None,
    address: str,
    at: str | None,
    tries: Sequence[str],
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Try the login of USER, and operations after it, without changing anything.

    It needs no server. One that runs on this machine is asked whether it bans the address.

    It prints who the login would be, which factors are proven and which are missing, what the user may do
    where, and for each --try whether it would be allowed. What is refused is explained, with the rule and
    where it was written. Of a private key only the public half is read. Each --try is judged as the first
    operation of a session; if it depends on what is stored, the storage is asked by read requests.

    Exits with 0 if all of it is allowed, with 1 if not, with 2 if the command or the configuration is wrong.
    """
    operations = [_operation(text) for text in tries]
    moment = _time(at) if at is not None else None
    given = Credentials(
        user,
        _address(address),
        [*map(partial(_presented, "--certificate"), certificates), *map(partial(_presented, "--key"), keys)],
        _password() if password else None,
        code,
    )
    if not given.keys and given.password is None:
        raise click.UsageError("give what the client has: --key, --certificate or --password")
    reader = ConfigurationReader(config_file=config_file, bucket_url=None)
    configuration = reader.read(SourceFiles(), again=True)
    state_dir = configuration.options.server.state_dir
    ban = _ANOTHER_TIME if moment is not None else known_ban(state_dir, given.address)
    report = run(_tried(configuration, given, operations, moment, ban))
    if as_json:
        click.echo(json.dumps(report.as_object(), indent=2))
    else:
        for line in report.lines():
            click.echo(line)
    sys.exit(0 if report.is_all_right else 1)


async def _tried(
    configuration: Configuration,
    given: Credentials,
    operations: Sequence[WantedOperation],
    moment: datetime | None,
    ban: KnownBan,
) -> LoginReport:
    complaints = _Complaints()
    configure_logging(LogOptions(level="warning"), cast(TextIO, complaints))
    with logins_at(moment):
        login = await _login(configuration, given, complaints)
        time = login_time()
    tried: list[TriedOperation] = []
    if login.identity is not None and operations:
        tried = await _operations(configuration, login.identity, given.address, operations)
    return LoginReport(configuration, login, given.address, time, tried, ban)


async def _login(configuration: Configuration, given: Credentials, complaints: _Complaints) -> TriedLogin:
    options = configuration.options
    # nobody measures how long this command takes
    auth = options.auth.model_copy(update={"refusal_time": timedelta(0)})
    async with AsyncExitStack() as started:
        users = ConfiguredUsers(configuration.logins.accounts, auth)
        started.callback(users.close)
        sources = await start_sources(options, users, Metrics(), started)
        complaints.take()
        trial = LoginTrial(AuthGateway(sources, auth), sources, options.ssh.offer, complaints.take)
        return await trial.run(given)


async def _operations(
    configuration: Configuration, identity: Identity, address: str, operations: Sequence[WantedOperation]
) -> list[TriedOperation]:
    options = configuration.options
    try:
        async with storage_to_read(options) as storage:
            trial = OperationTrial(storage, options.files, identity, address)
            return [await trial.run(operation) for operation in operations]
    except StorageError as error:
        return [TriedOperation(each, "unknown", str(error), detail=error.detail) for each in operations]


class _Complaints(io.TextIOBase):
    """Takes the log, of which a refusal may need the reason why a source could not answer."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._lines += [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return len(text)

    def take(self) -> list[str]:
        """What has been logged since the last call: names of events and what they say."""
        lines, self._lines = self._lines, []
        said = ((line["event"], line.get("problem") or line.get("reason") or "") for line in lines)
        return [f"{event}: {text}" if text else event for event, text in said]


def _operation(text: str) -> WantedOperation:
    try:
        return parse_operation(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--try") from None


def _presented(option: str, file: Path) -> asyncssh.SSHKey | Certificate:
    try:
        found = read_presented(file)
    except OSError as error:
        raise click.BadParameter(f"{str(file)!r}: {error.strerror or error}", param_hint=option) from None
    except UnusableKeyFile as error:
        raise click.BadParameter(f"{str(file)!r}: {error}", param_hint=option) from None
    if option == "--certificate" and not isinstance(found, Certificate):
        raise click.BadParameter(
            f"{str(file)!r}: a key, and no certificate; give it as --key", param_hint=option
        )
    return found


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _address(text: str) -> str:
    try:
        return normalized_address(str(ipaddress.ip_address(text)))
    except ValueError:
        raise click.BadParameter(f"{text!r} should be an IP address", param_hint="--from") from None


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} should be a time with its zone, such as 2027-01-31T18:00:00Z", param_hint="--at"
        )
    return time.astimezone(UTC)
