"""`s3sftp check`: checks the configuration and the storage before the server relies on them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from s3sftp.app.backends import check_backend
from s3sftp.app.options import Configuration, ServerOptions
from s3sftp.app.shared_state import check_shared_state
from s3sftp.app.user_sources import check_sources
from s3sftp.app.user_tables import UserTables
from s3sftp.auth import BadKey, Logins
from s3sftp.backends.findings import Finding, State
from s3sftp.cli.configuration import ConfigurationReader, storage_flags
from s3sftp.cli.event_loop import run
from s3sftp.cli.progress import working
from s3sftp.config import SourceFiles
from s3sftp.ssh.algorithms import WEAK_ADVICE
from s3sftp.telemetry.log_setup import configure_logging
from s3sftp.telemetry.logs import printable


@click.command()
@storage_flags
@click.option("--backend", help="As for `serve`.")
@click.option("--offline", is_flag=True, help="Look at the configuration alone: ask no storage and no AWS.")
@click.option("--user", help="Name of a user, as for `serve`.")
@click.option("--authorized-keys", metavar="FILE", help="Public keys of --user.")
@click.option("--password-hash", metavar="HASH", help="Password of --user.")
def check(*, offline: bool, **flags: Any) -> None:
    """Check the configuration and the storage.

    Can every file of users be read, and every key in it be used? Is a weak algorithm offered? May files of
    the bucket be read, written, listed and removed? Is it safe? What is missing? For another storage the
    command checks only that it starts and that its root can be listed, and writes nothing. May users in
    DynamoDB and Secrets Manager be looked up? May the table that replicas share be read and written? With
    --offline it checks only what is configured: options, users, keys, host keys. Exits with 0 if the server
    would work, with 1 if not, with 2 if the configuration is wrong.
    """
    configuration = ConfigurationReader(**flags, needs_users=False).read(SourceFiles())
    options = configuration.options
    configure_logging(options.log.model_copy(update={"level": "error"}))
    asked = _unasked(configuration) if offline else _asked(options)
    of_users = of_logins(configuration.logins, configuration.tables, has_other_users=options.has_other_users)
    findings = [*_of_algorithms(options), *of_users, *asked]
    for line in table(findings):
        click.echo(line)
    sys.exit(1 if any(finding.state == "failed" for finding in findings) else 0)


def _asked(options: ServerOptions) -> list[Finding]:
    with working("Asking the storage, and whatever else the server needs …"):
        return run(_ask(options))


async def _ask(options: ServerOptions) -> list[Finding]:
    return [
        *await check_sources(options),
        *await check_shared_state(options),
        *await check_backend(options),
    ]


def _of_algorithms(options: ServerOptions) -> list[Finding]:
    return [
        Finding("algorithm", "warning", f"{name} is offered: {risk}", WEAK_ADVICE)
        for name, risk in options.ssh.offer.weak.items()
    ]


def of_logins(logins: Logins, tables: UserTables, *, has_other_users: bool = False) -> list[Finding]:
    """Findings about unusable keys, users who cannot log in by any method, and groups without users.

    `has_other_users`: a source beside the configuration has users too.
    """
    found = [
        Finding(
            "key",
            "warning",
            f"{bad.user}: {_place(bad, tables)}: {bad.problem.problem}",
            bad.problem.advice,
        )
        for bad in logins.bad_keys
    ]
    locked_out = logins.locked_out()
    is_nobody_left = len(locked_out) == len(logins.accounts) and not has_other_users
    state: State = "failed" if is_nobody_left else "warning"
    found += [
        Finding("group", "warning", f"{group.name} ({group.source}): no user has it")
        for group in logins.unused_groups
    ]
    return found + [
        Finding("user", state, f"{name} cannot log in: {logins.accounts[name].lack}")
        for name in locked_out
        if is_nobody_left or not logins.accounts[name].is_disabled
    ]


def _place(bad: BadKey, tables: UserTables) -> str:
    place = f"{bad.source}, line {bad.problem.line}"
    if bad.source != "authorized_keys":
        return place
    return f"{place} ({tables.where(bad.user, bad.source, str(bad.problem.line - 1))})"


def _unasked(configuration: Configuration) -> list[Finding]:
    users = len(configuration.logins.accounts)
    text = f"it can be used, with {users} user{'' if users == 1 else 's'}; the storage was not asked"
    return [Finding("configuration", "ok", text)]


def table(findings: Sequence[Finding]) -> list[str]:
    """A row for each finding, with the advice below it."""
    width = max((len(finding.what) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:8}{finding.what:{width}}  {printable(finding.text)}")
        if finding.advice:
            lines.append(f"{'':8}{'':{width}}  → {printable(finding.advice)}")
    return lines
