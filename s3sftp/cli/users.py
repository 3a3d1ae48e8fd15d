"""`s3sftp users`: lists users, shows what one of them is, and checks files of users, all without a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from s3sftp.app.options import load_users_alone
from s3sftp.app.user_loading import LoadedUsers
from s3sftp.cli.check import of_logins, table
from s3sftp.cli.error_messages import end_without_user
from s3sftp.cli.progress import working
from s3sftp.cli.user_report import UserReport, report_of
from s3sftp.config import SourceFiles
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.logs import printable

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def users() -> None:
    """List, show and check users, as the configuration and files of users define them."""


def _sources_of_users(command: F) -> F:
    """`--config FILE [FILES…]`."""
    paths = click.Path(path_type=Path)
    for decorate in (
        click.option(
            "--config", "config_file", type=paths, envvar="S3SFTP_CONFIG", help="Configuration file (TOML)."
        ),
        click.argument("files", nargs=-1, type=paths),
    ):
        command = decorate(command)
    return command


@users.command("list")
@_sources_of_users
@click.option("--json", "as_json", is_flag=True, help="A list of objects instead of a table.")
def list_users(config_file: Path | None, files: Sequence[Path], as_json: bool) -> None:
    """List the users of the configuration, or of FILES and directories of files."""
    loaded = _load(config_file, files)
    reports = [report_of(loaded, name) for name in sorted(loaded.logins.accounts)]
    if as_json:
        click.echo(json.dumps([_as_object(report) for report in reports], indent=2))
        return
    for line in _columns(reports):
        click.echo(line)


@users.command("show")
@click.argument("name")
@_sources_of_users
@click.option("--json", "as_json", is_flag=True, help="An object instead of lines.")
def show_user(name: str, config_file: Path | None, files: Sequence[Path], as_json: bool) -> None:
    """Show what the user NAME is after groups: each option that is set, and where it was written.

    With --json, options that have their defaults are shown too.
    Of secrets it shows only that there are some, of keys the fingerprints. Exits with 1 if there is no such
    user.
    """
    loaded = _load(config_file, files)
    if name not in loaded.logins.accounts:
        end_without_user(name, list(loaded.logins.accounts))
    report = report_of(loaded, name)
    if as_json:
        click.echo(json.dumps(_as_object(report), indent=2))
        return
    click.echo(printable(f"{report.name} ({report.where})"))
    written = [option for option in report.options if option.source != "default" or option.name == "prefix"]
    width = max(len(option.name) for option in written)
    for option in written:
        click.echo(printable(f"  {option.name:{width}}  {option.text}  ({option.origin})"))
    for key in report.keys:
        click.echo(printable(f"  {'key':{width}}  {key}"))


@users.command("check")
@_sources_of_users
@click.option("--strict", is_flag=True, help="Fail for warnings too.")
def check_users(config_file: Path | None, files: Sequence[Path], strict: bool) -> None:
    """Check the users of the configuration, or FILES and directories of files, without a server or storage.

    With --config and FILES, checks both together. Exits with 0 if the server would accept them, with 2 if
    anything is wrong, which it lists with file and line. Keys that cannot be used, users who cannot log in,
    and groups without users are warnings; with --strict they make it exit with 1.
    """
    loaded = _load(config_file, files)
    warnings = of_logins(loaded.logins, loaded.tables)
    for line in table(warnings):
        click.echo(line)
    count, groups = len(loaded.logins.accounts), len(loaded.tables.groups)
    click.echo(f"{_counted(count, 'user')} and {_counted(groups, 'group')} can be used")
    sys.exit(1 if strict and warnings else 0)


@users.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of files of users, for editors and other checks."""
    from s3sftp.auth.user_schema import user_schema

    click.echo(json.dumps(user_schema(), indent=2, ensure_ascii=False))


def _load(config_file: Path | None, files: Sequence[Path]) -> LoadedUsers:
    """The users.

    Raises ConfigurationError: if anything about them is wrong, or there are none to look at.
    """
    with working("Reading the users …"):
        loaded = load_users_alone(config_file, files, SourceFiles())
    if loaded.problems:
        raise ConfigurationError(list(dict.fromkeys(loaded.problems)))
    if not loaded.are_configured and not loaded.tables.groups and not files:
        raise ConfigurationError(["there are no users: give FILES of users, or --config"])
    return loaded


def _columns(reports: Sequence[UserReport]) -> list[str]:
    rows = [("USER", "GROUPS", "PREFIX", "RIGHTS", "KEYS", "PASSWORD", "WHERE")]
    rows += [
        (
            report.name,
            ", ".join(report.groups) or "-",
            "(mounts)" if report.prefix is None else report.prefix or "(all)",
            report.rights,
            str(len(report.keys)),
            "yes" if report.password else "no",
            report.where or "-",
        )
        for report in reports
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [printable(_row(row, widths), 4000) for row in rows]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _as_object(report: UserReport) -> dict[str, Any]:
    options = {option.name: _of_option(asdict(option)) for option in report.options}
    return {
        "name": report.name,
        "where": report.where,
        "groups": list(report.groups),
        "prefix": report.prefix,
        "rights": report.rights,
        "read_only": report.read_only,
        "password": report.password,
        "keys": list(report.keys),
        "options": options,
    }


def _of_option(option: dict[str, Any]) -> dict[str, Any]:
    return {name: option[name] for name in ("value", "source", "where")}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
