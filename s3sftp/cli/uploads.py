"""`s3sftp uploads`: shows and aborts uploads that are kept after a lost line (`files.resume`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from s3sftp.backends.kept_uploads import KeepLimits, KeepsUploads, KeptSurvey, SurveyedUpload
from s3sftp.cli.error_messages import print_error
from s3sftp.cli.event_loop import run
from s3sftp.cli.text_table import aligned

_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="S3SFTP_CONFIG",
    help="Configuration file (TOML).",
)
_STORAGE = click.option("--storage", default="", help="The name of the storage, if there are several.")
_SHORT_ID = 12
"""Characters of an id that a list shows."""


@click.group()
def uploads() -> None:
    """Show uploads that ended without CLOSE and are kept for their users, and abort them."""


@uploads.command("list")
@_CONFIG
@_STORAGE
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each upload.")
def list_uploads(config_file: Path | None, storage: str, as_json: bool) -> None:
    """List the uploads in the bucket: id, state, age, bytes, dollars a month, user and key.

    `sending` are those that run, or whose server was killed. Two or three requests to S3 each.
    """
    run(_list(config_file, storage, as_json))


@uploads.command()
@_CONFIG
@_STORAGE
@click.argument("upload_id", metavar="ID")
def show(config_file: Path | None, storage: str, upload_id: str) -> None:
    """Show one upload, as JSON. ID may be the beginning of one, if no other begins alike."""
    found = run(_show(config_file, storage, upload_id))
    if found is None:
        _say_missing(upload_id)
        sys.exit(1)
    click.echo(json.dumps(found, indent=2))


@uploads.command()
@_CONFIG
@_STORAGE
@click.argument("upload_ids", metavar="ID...", nargs=-1, required=True)
def abort(config_file: Path | None, storage: str, upload_ids: tuple[str, ...]) -> None:
    """Remove uploads with their parts. One that still runs fails at its CLOSE.

    Exit status 0 if all are gone, 1 if one was not found.
    """
    missing = run(_abort(config_file, storage, upload_ids))
    for each in missing:
        _say_missing(each)
    sys.exit(1 if missing else 0)


def _say_missing(upload_id: str) -> None:
    print_error(f"s3sftp: no upload, or more than one, has an id that begins with {upload_id}")


async def _list(file: Path | None, storage: str, as_json: bool) -> None:
    rows = []
    async with _kept(file, storage) as kept:
        async for each in kept.uploads():
            fields = _described(each)
            if as_json:
                click.echo(json.dumps(fields))
                continue
            rows.append(
                [
                    each.id[:_SHORT_ID],
                    fields["state"],
                    f"{fields['age_seconds']}s",
                    "-" if each.size is None else str(each.size),
                    f"${each.dollars_a_month:.4f}",
                    fields["user"],
                    fields["key"],
                ]
            )
    for line in aligned(rows):
        click.echo(line)


async def _show(file: Path | None, storage: str, upload_id: str) -> dict[str, Any] | None:
    async with _kept(file, storage) as kept:
        found = _named([each async for each in kept.uploads()], upload_id)
        return None if found is None else _described(found)


async def _abort(file: Path | None, storage: str, upload_ids: tuple[str, ...]) -> list[str]:
    missing = []
    async with _kept(file, storage) as kept:
        everything = [each async for each in kept.uploads()]
        for upload_id in upload_ids:
            found = _named(everything, upload_id)
            if found is None or not await kept.abort(found.id):
                missing.append(upload_id)
                continue
            click.echo(f"{found.id[:_SHORT_ID]} is aborted")
    return missing


def _named(found: list[SurveyedUpload], upload_id: str) -> SurveyedUpload | None:
    """The only one whose id begins so."""
    fitting = [each for each in found if each.id.startswith(upload_id)]
    return fitting[0] if len(fitting) == 1 and upload_id else None


def _described(each: SurveyedUpload) -> dict[str, Any]:
    return {
        "id": each.id,
        "state": each.state,
        "user": each.user,
        "key": each.key,
        "bytes": each.size,
        "dollars_a_month": round(each.dollars_a_month, 6),
        "age_seconds": max(0, round(time.time() - each.written_at)),
        "began_at": round(each.began_at),
        "upload_id": each.upload_id,
        "tail_bytes": each.tail_bytes,
    }


@asynccontextmanager
async def _kept(file: Path | None, storage: str) -> AsyncIterator[KeptSurvey]:
    """What keeps the uploads in the bucket of the configuration."""
    from s3sftp.app.backends import make_backend_to_read
    from s3sftp.app.options import load_options

    options = load_options(file, needs_users=False)
    if storage and storage not in options.storages:
        raise click.UsageError(f"the configuration has no storage {storage!r}")
    backend = make_backend_to_read(options.of_storage(storage), storage)
    if not isinstance(backend, KeepsUploads):
        raise click.ClickException("the storage of this configuration is no bucket, and keeps no uploads")
    files = options.files
    kept = backend.kept_survey(
        KeepLimits(files.resume.total_seconds(), files.resume_max_uploads_per_user, files.resume_user_bytes)
    )
    await backend.start()
    try:
        yield kept
    finally:
        await backend.stop()
