"""`s3sftp import`: converts the users of SFTPGo and of AWS Transfer Family to files of users."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from s3sftp.auth.weekly_hours import WeeklyHours
from s3sftp.cli.progress import counted, working
from s3sftp.migration import sftpgo, transfer_family
from s3sftp.migration.findings import Imported, report_lines, report_object
from s3sftp.migration.user_files import Format, document, documents, write_files

F = TypeVar("F", bound=Callable[..., Any])
_CONVERTING = "Converting the users …"


@click.group("import")
def import_users() -> None:
    """Convert the users of another server to files of users.

    The files go to standard output, to --output or to --directory; the report of what is not carried over
    exactly goes to standard error. Exits with 0 if all users are imported, and with 1 if some are written
    disabled, or not written, because they would otherwise have more rights than before.
    """


def _common(command: F) -> F:
    """The file, and the options that both sources have."""
    paths = click.Path(path_type=Path)
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="The report as JSON."),
        click.option(
            "--format", "form", type=click.Choice(["toml", "yaml"]), default="toml", help="Default: toml."
        ),
        click.option("--directory", type=paths, help="Write files into it: of each user, and of groups."),
        click.option("--output", type=paths, help="Write one file. Nothing is ever overwritten."),
        click.option(
            "--s3-prefix", default="", help="The server's s3.prefix, below which users' prefixes are."
        ),
        click.option("--bucket", help="The server's bucket. Users of others are written disabled."),
        click.argument("file", type=paths),
    ):
        command = decorate(command)
    return command


def _ignore(names: tuple[str, ...]) -> Callable[[F], F]:
    return click.option(
        "--ignore",
        multiple=True,
        type=click.Choice(names),
        help="Accept that this restriction is lost. Repeatable. Default: such users are written disabled.",
    )


@import_users.command("sftpgo")
@_common
@click.option("--endpoint", help="The endpoint of the server's store, if the export has several.")
@click.option("--timezone", default="UTC", help="The zone of SFTPGo's access times. Default: UTC.")
@_ignore(sftpgo.IGNORABLE)
def import_sftpgo(
    file: Path,
    bucket: str | None,
    s3_prefix: str,
    endpoint: str | None,
    timezone: str,
    ignore: tuple[str, ...],
    **where: Any,
) -> None:
    """Convert FILE, which SFTPGo's /api/v2/dumpdata has made."""
    try:
        WeeklyHours.parse(f"00:00-24:00 {timezone}")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timezone") from None
    options = sftpgo.SftpgoOptions(bucket, _prefix(s3_prefix), endpoint, timezone, frozenset(ignore))
    with working(_CONVERTING):
        imported = sftpgo.import_sftpgo(file, options)
    _finish(imported, **where)


@import_users.command("transfer-family")
@_common
@_ignore(transfer_family.IGNORABLE)
def import_transfer_family(
    file: Path, bucket: str | None, s3_prefix: str, ignore: tuple[str, ...], **where: Any
) -> None:
    """Convert FILE, which has the outputs of `aws transfer describe-user` one after the other, or as a list.

    Those of list-users may be there too, to find out whose description is missing, and of describe-server.
    """
    options = transfer_family.TransferFamilyOptions(bucket, _prefix(s3_prefix), frozenset(ignore))
    with working(_CONVERTING):
        imported = transfer_family.import_transfer_family(file, options)
    _finish(imported, **where)


def _prefix(text: str) -> str:
    return text if not text or text.endswith("/") else f"{text}/"


def _finish(
    imported: Imported, output: Path | None, directory: Path | None, form: Format, as_json: bool
) -> None:
    """Write the files and the report, and exit."""
    if output is not None and directory is not None:
        raise click.UsageError("give --output or --directory, not both")
    if directory is not None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        texts = documents(imported, form)
        write_files((directory / name, text) for name, text in counted(texts.items(), len(texts), "Writing"))
    elif output is not None:
        write_files([(output, document(imported.users, form, imported.groups))])
    else:
        click.echo(document(imported.users, form, imported.groups), nl=False)
    if as_json:
        click.echo(json.dumps(report_object(imported), indent=2), err=True)
    else:
        for line in report_lines(imported):
            click.echo(line, err=True)
    sys.exit(0 if imported.is_complete else 1)
