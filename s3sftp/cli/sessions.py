"""`s3sftp sessions`: who is connected to the running server, and an end to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import click

from s3sftp.cli.admin_client import AdminClient, admin_flags
from s3sftp.cli.readable_values import readable_bytes
from s3sftp.cli.text_table import aligned
from s3sftp.telemetry.logs import printable

_COLUMNS = ("session", "user", "from", "client", "login", "since", "idle", "files", "in", "out")
_PAGE = 1000


class _ListByDefault(click.Group):
    """A group whose command is `list` if none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_list = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if is_list else args)


@click.group(cls=_ListByDefault)
def sessions() -> None:
    """Show who is connected to a running server, and disconnect. Without a command: list.

    The server is asked by its admin port, on any machine that reaches it.
    """


@sessions.command("list")
@click.option("--user", help="Only this user's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@admin_flags
def list_sessions(user: str | None, as_json: bool, **where: Any) -> None:
    """List the open sessions, with what each has moved."""
    client = AdminClient.of_flags(**where)
    found = list(_all(client, user))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in aligned([_COLUMNS, *map(_row, found)]):
        click.echo(line)


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@admin_flags
def disconnect(session_id: str, as_json: bool, **where: Any) -> None:
    """End the session ID and its connection.

    Its uploads that have not ended are not stored. Its client may connect again: to prevent that, ban the
    address or disable the user.
    """
    answer = AdminClient.of_flags(**where).delete("sessions", session_id)
    click.echo(json.dumps(answer) if as_json else f"{printable(session_id)} is being disconnected")


def _all(client: AdminClient, user: str | None) -> Iterator[Mapping[str, Any]]:
    """The sessions of all pages."""
    cursor = None
    while True:
        page = client.get("sessions", user=user, limit=_PAGE, cursor=cursor)
        if page.get("not_answered"):
            numbers = ", ".join(map(str, page["not_answered"]))
            click.echo(f"worker {numbers} did not answer: its sessions are missing", err=True)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _row(session: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        session["id"],
        session["user"],
        session["peer"],
        session["client"],
        session["method"],
        f"{session['started_at'][:19]}Z",
        str(timedelta(seconds=round(session["idle_seconds"]))),
        str(session["handles"]),
        readable_bytes(session["bytes_in"]),
        readable_bytes(session["bytes_out"]),
    )
