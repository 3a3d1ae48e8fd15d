"""`s3sftp audit`: checks an audit log whose lines are chained."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from s3sftp.cli.error_messages import print_error
from s3sftp.telemetry.audit_chain import HASH
from s3sftp.telemetry.audit_chain_file import read_key, without_states
from s3sftp.telemetry.audit_reading import LineFinding, anchors_of
from s3sftp.telemetry.audit_verification import Verification
from s3sftp.telemetry.audit_verification import verify as verify_files
from s3sftp.telemetry.logs import printable

_MOST_PROBLEMS = 20


class _Hash(click.ParamType[str]):
    name = "hash"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        whole = value if ":" in value else f"sha256:{value}"
        if not HASH.fullmatch(whole.lower()):
            self.fail("should be the 64 digits of a hash, as the log has them", param, ctx)
        return value


@click.group()
def audit() -> None:
    """Check the audit log."""


@audit.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The file of `audit.chain_key_file`.",
)
@click.option(
    "--expect", multiple=True, type=_Hash(), help="A hash that a line must have, from `audit.anchored`."
)
@click.option(
    "--anchors",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A log of the server: its `audit.anchored` name hashes that lines must have.",
)
@click.option("--after", type=_Hash(), help="The hash of the last line that rotation has removed.")
@click.option(
    "--keyed-from",
    type=_Hash(),
    help="The hash of the first line with a key, if the key was turned on later than the chain.",
)
def verify(
    files: tuple[Path, ...],
    key_files: tuple[Path, ...],
    expect: tuple[str, ...],
    logs: tuple[Path, ...],
    after: str | None,
    keyed_from: str | None,
) -> None:
    """Check that FILES have every line as the server wrote it, in its order.

    FILES may be in any order, and compressed with gzip, bzip2 or xz. The file of the chain beside them, which
    the pattern audit.log* matches too, is left out. --key, --expect and --anchors may be repeated.

    Exit status 0 if all is whole, 1 if not; the first line says what is not.
    """
    keys = [read_key(file, "--key") for file in key_files]
    problems: list[LineFinding] = []
    anchors = anchors_of(logs, problems)
    found = verify_files(without_states(files), keys, expect, anchors, after, keyed_from)
    found.problems[:0] = problems
    for problem in found.problems[:_MOST_PROBLEMS]:
        print_error(str(problem))
    if len(found.problems) > _MOST_PROBLEMS:
        print_error(f"… and {len(found.problems) - _MOST_PROBLEMS} more")
    for hash_ in found.not_found:
        print_error(f"no line has the hash {hash_}: lines were cut off at the end, or replaced")
    for note in found.notes:
        click.echo(f"note: {printable(str(note))}")
    read = len({anchor.hash for anchor in anchors})
    click.echo(
        _summary(found, f"anchors: {read} read, {found.anchors} of them in these lines\n" if logs else "")
    )
    sys.exit(0 if found.is_whole else 1)


def _summary(found: Verification, anchors: str) -> str:
    verdict = "whole" if found.is_whole else "NOT whole"
    count = f"{found.lines} chained line{'' if found.lines == 1 else 's'}"
    files = f"{len(found.files)} file{'' if len(found.files) == 1 else 's'}"
    if found.first is None or found.last is None:
        return f"{verdict}: {count} in {files}"
    return (
        f"{verdict}: {count} in {files}, {found.first.sequence} to {found.last.sequence} of chain "
        f"{found.last.chain}\n{anchors}last hash: {found.last.hash}"
    )
