"""`s3sftp bans`: shows and changes which sources the running server bans."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import TypeAdapter, ValidationError

from s3sftp.app.control_socket import ask
from s3sftp.app.options import default_state_dir
from s3sftp.cli.error_messages import print_error
from s3sftp.cli.text_table import aligned
from s3sftp.config import PositiveDuration
from s3sftp.config.layers import Settings, from_environment, from_toml

F = TypeVar("F", bound=Callable[..., Any])
_COLUMNS = ("source", "reason", "score", "number", "ends in")


def _server_flags(command: F) -> F:
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--state-dir", type=click.Path(path_type=Path), help="The server's; default: `server.state_dir`."
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            envvar="S3SFTP_CONFIG",
            help="Configuration file (TOML).",
        ),
    ):
        command = decorate(command)
    return command


@click.group()
def bans() -> None:
    """Show, lift and add bans of a running server, on its machine and as its user or root.

    Exit status 0 if it is done, 1 if not, with the reason.
    """


@bans.command("list")
@_server_flags
def list_bans(as_json: bool, state_dir: Path | None, config_file: Path | None) -> None:
    """List the bans in force."""
    found = _asked(_directory(state_dir, config_file), {"command": "bans.list"})["bans"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [_COLUMNS, *map(_row, found)]
    if any(ban["replica"] for ban in found):
        rows = [
            (*row, replica)
            for row, replica in zip(rows, ["by", *(ban["replica"] or "-" for ban in found)], strict=True)
        ]
    for line in aligned(rows):
        click.echo(line)


@bans.command()
@_server_flags
@click.argument("address")
def lift(as_json: bool, state_dir: Path | None, config_file: Path | None, address: str) -> None:
    """End the ban of ADDRESS, and forget what it has done.

    The ban of an IPv6 address is that of its /64 network.
    """
    directory = _directory(state_dir, config_file)
    answer = _asked(directory, {"command": "bans.lift", "address": address})
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["lifted"]:
        click.echo(f"{address} is not banned any more")
    else:
        print_error(f"s3sftp: {address} is not banned")
    sys.exit(0 if answer["lifted"] else 1)


@bans.command()
@_server_flags
@click.option("--for", "duration", metavar="TIME", required=True, help="How long, such as `30 min` or 1h.")
@click.argument("address")
def add(as_json: bool, state_dir: Path | None, config_file: Path | None, duration: str, address: str) -> None:
    """Ban ADDRESS for a time. Its connections that have logged in go on.

    The ban of an IPv6 address is that of its /64 network. It ends with the server, unless
    replicas share bans: then it holds on all of them, until its time is over.
    """
    seconds = _seconds(duration)
    directory = _directory(state_dir, config_file)
    (ban,) = _asked(directory, {"command": "bans.add", "address": address, "seconds": seconds})["bans"]
    click.echo(json.dumps(ban) if as_json else f"{ban['source']} is banned until {ban['until']}")


def _asked(directory: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The server's answer; warns if it is the answer of this replica alone.

    Raises CannotControl: if no server answers, or it refuses.
    """
    answer = ask(directory, request)
    if warning := answer.get("warning"):
        print_error(f"s3sftp: warning: {warning}")
    return answer


def _directory(given: Path | None, file: Path | None) -> Path:
    """The server's state directory, read from its configuration; the rest of that is not validated."""
    if given is not None:
        return given
    settings = Settings.layered(from_toml(file) if file else [], from_environment(os.environ, ()))
    configured = settings.by_path.get(("server", "state_dir"))
    return Path(str(configured.value)) if configured else default_state_dir()


def _seconds(text: str) -> float:
    try:
        duration: timedelta = TypeAdapter[timedelta](PositiveDuration).validate_python(text)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise click.BadParameter(f"{text!r} {problem}", param_hint="--for") from None
    return duration.total_seconds()


def _row(ban: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        ban["source"],
        ban["reason"],
        str(ban["score"]),
        str(ban["number"]),
        str(timedelta(seconds=round(ban["remaining_seconds"]))),
    )
