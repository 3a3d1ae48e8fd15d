"""`s3sftp events`: shows which events wait in the outbox, and offers refused ones again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import click

from s3sftp.backends.small_objects import SmallObjects
from s3sftp.cli.error_messages import print_error
from s3sftp.cli.event_loop import run
from s3sftp.telemetry.logs import printable

_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="S3SFTP_CONFIG",
    help="Configuration file (TOML).",
)


@click.group()
def events() -> None:
    """Show the events that no sink has accepted yet, and offer refused ones again."""


@events.command("list")
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each event.")
def list_events(config_file: Path | None, as_json: bool) -> None:
    """List the events in the outbox of the bucket: age, state, sink, kind, attempts, id and path.

    It reads each of them: a request to S3 each. Exit status 0, also if there are none.
    """
    run(_list(config_file, as_json))


@events.command()
@_CONFIG
@click.option("--id", "ids", multiple=True, metavar="ID", help="A refused event; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="All refused events.")
def replay(config_file: Path | None, ids: tuple[str, ...], everything: bool) -> None:
    """Offer refused events to their sinks again. A running server delivers them within
    `events.takeover_time`.

    Exit status 0 if all that were named are offered again, 1 if one was not found.
    """
    if bool(ids) == everything:
        raise click.UsageError("say which events: --id ID, or --all")
    missing = run(_replay(config_file, None if everything else frozenset(ids)))
    for each in sorted(missing):
        print_error(f"s3sftp: no refused event has the id {each}")
    sys.exit(1 if missing else 0)


async def _list(file: Path | None, as_json: bool) -> None:
    from s3sftp.events.outbox.survey import waiting_events

    now = time.time()
    async with _outbox(file) as objects, aclosing(waiting_events(objects)) as found:
        async for line in found:
            event = line.event
            if as_json:
                fields: dict[str, Any] = {
                    "state": line.state,
                    "sink": line.sink,
                    "attempts": line.attempts,
                    "reason": line.reason,
                    "age_seconds": round(now - line.time, 1),
                    "event": None if event is None else json.loads(event.to_json()),
                }
                click.echo(json.dumps(fields))
                continue
            words = [
                f"{max(0, round(now - line.time))}s",
                line.state,
                line.sink,
                "-" if event is None else str(event.kind),
                str(line.attempts),
                line.id,
                printable("-" if event is None else event.subject),
            ]
            click.echo("  ".join(words) + (f"  ({printable(line.reason)})" if line.reason else ""))


async def _replay(file: Path | None, ids: frozenset[str] | None) -> set[str]:
    from s3sftp.events.outbox.survey import replay_refused

    missing = set(ids or ())
    count = 0
    async with _outbox(file) as objects, aclosing(replay_refused(objects, ids)) as found:
        async for line in found:
            count += 1
            missing.discard(line.id)
            click.echo(f"{line.id} is offered to {line.sink} again")
    if ids is None and not count:
        click.echo("no event is refused")
    return missing


@asynccontextmanager
async def _outbox(file: Path | None) -> AsyncIterator[SmallObjects]:
    """The outbox in the bucket of the configuration."""
    from s3sftp.app.backends import make_backend_to_read
    from s3sftp.app.options import load_options
    from s3sftp.backends.complete import complete
    from s3sftp.backends.spool import SpoolQuota
    from s3sftp.events.outbox.looking import objects_of

    options = load_options(file, needs_users=False)
    backend = complete(
        make_backend_to_read(options.of_storage("")),
        SpoolQuota(options.files.spool_dir, options.files.spool_bytes),
    )
    objects = objects_of(backend)
    if not objects.is_durable:
        raise click.ClickException(
            "the storage of this configuration is no bucket: events wait in the server's memory alone"
        )
    await backend.start()
    try:
        yield objects
    finally:
        await backend.stop()
