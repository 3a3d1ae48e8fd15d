"""`s3sftp check`: checks the configuration and the storage before the server relies on them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from s3sftp.app.backends import check_backend
from s3sftp.app.options import Configuration
from s3sftp.backends.findings import Finding, State
from s3sftp.cli.configuration import ConfigurationReader, storage_flags
from s3sftp.cli.event_loop import run
from s3sftp.config import SourceFiles
from s3sftp.ssh.algorithms import WEAK_ADVICE
from s3sftp.telemetry.escape import printable
from s3sftp.telemetry.log_setup import configure_logging


@click.command()
@storage_flags
@click.option("--backend", help="As for `serve`.")
@click.option("--offline", is_flag=True, help="Look at the configuration alone: ask no storage.")
@click.option("--user", help="Name of a user, as for `serve`.")
@click.option("--authorized-keys", metavar="FILE", help="Public keys of --user.")
@click.option("--password-hash", metavar="HASH", help="Password of --user.")
def check(*, offline: bool, **flags: Any) -> None:
    """Check the configuration and the storage.

    Can every file of users be read, and every key in it be used? Is a weak algorithm offered? May files of
    the bucket be read, written, listed and removed? Is it safe? What is missing? For another storage the
    command checks only that it starts and that its root can be listed, and writes nothing. With --offline it
    checks only what is configured: options, users, keys, host keys. Exits with 0 if the server would work,
    with 1 if not, with 2 if the configuration is wrong.
    """
    configuration = ConfigurationReader(**flags, needs_users=False).read(SourceFiles())
    options = configuration.options
    configure_logging(options.log.model_copy(update={"level": "error"}))
    of_storage = _unasked(configuration) if offline else run(check_backend(options))
    findings = [*of_logins(configuration), *of_storage]
    for line in table(findings):
        click.echo(line)
    sys.exit(1 if any(finding.state == "failed" for finding in findings) else 0)


def of_logins(configuration: Configuration) -> list[Finding]:
    """Findings about weak algorithms that are offered, unusable keys, and users who cannot log in by any
    method."""
    found = [
        Finding("algorithm", "warning", f"{name} is offered: {risk}", WEAK_ADVICE)
        for name, risk in configuration.options.ssh.offer.weak.items()
    ]
    logins = configuration.logins
    found += [
        Finding(
            "key",
            "warning",
            f"{bad.user}: {bad.source}, line {bad.problem.line}: {bad.problem.problem}",
            bad.problem.advice,
        )
        for bad in logins.bad_keys
    ]
    locked_out = logins.locked_out()
    is_nobody_left = len(locked_out) == len(logins.accounts) and configuration.options.hook is None
    state: State = "failed" if is_nobody_left else "warning"
    return found + [
        Finding("user", state, f"{name} cannot log in: no key that can be used, and no password")
        for name in locked_out
    ]


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
