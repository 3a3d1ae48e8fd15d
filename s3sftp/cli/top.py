"""`s3sftp top`: what the running server does, in a terminal. The same facts as the console."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from s3sftp.cli.admin_client import AdminClient, ServerIsAway, admin_flags
from s3sftp.cli.server_snapshot import ServerSnapshot, take_snapshot
from s3sftp.cli.terminal_keys import TerminalKeys, single_keys
from s3sftp.cli.text_table import aligned
from s3sftp.cli.top_rows import TopTable, headline, problems, tables, throughput
from s3sftp.telemetry.logs import printable

_LONGEST_PAUSE_SECONDS = 30.0
_STATE_STYLES = {"ready": "green", "draining": "yellow", "starting": "yellow"}
_RATIOS = {"file": 2, "outcome": 3, "trace": 1, "client": 1, "why": 1, "source": 1}
"""Columns that share the width that the others, which are never cut, leave."""
_GAPS = 3
"""Lines that a table has besides its rows."""


@click.command()
@click.option("--interval", type=click.FloatRange(0.5, 3600), default=2.0, help="Seconds between requests.")
@click.option("--once", is_flag=True, help="Show it once, as plain text.")
@admin_flags
def top(interval: float, once: bool, **where: Any) -> None:
    """Show live what a running server does: transfers, failures, sessions, costs, bans.

    Asks the server's admin port. q ends it. In a pipe, or with --once, it prints the state once, whole and
    without colours.
    """
    client = AdminClient.of_flags(**where)
    snapshot = take_snapshot(client)
    if once or not sys.stdout.isatty():
        for line in plain_lines(snapshot):
            click.echo(line)
        return
    with single_keys() as keys:
        _follow(client, snapshot, interval, keys)


def plain_lines(snapshot: ServerSnapshot) -> list[str]:
    """Everything as text, nothing cut."""
    lines = [headline(snapshot), throughput(snapshot), *(f"! {each}" for each in problems(snapshot))]
    for table in tables(snapshot):
        lines += ["", f"{table.title} ({len(table.rows)})"]
        lines += aligned([table.columns, *table.rows]) if table.rows else [table.empty]
    return [printable(line, 4000) for line in lines]


def _follow(client: AdminClient, snapshot: ServerSnapshot, interval: float, keys: TerminalKeys) -> None:
    """Refresh until q is pressed. While the server is away, pauses grow and the last state stays visible."""
    console, pause, trouble = Console(), interval, ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_screen(snapshot, trouble, console.height), refresh=True)
            if keys.wait_for("qQ", pause):
                return
            try:
                snapshot, pause, trouble = take_snapshot(client), interval, ""
            except ServerIsAway as error:
                pause = min(max(pause, interval) * 2, max(interval, _LONGEST_PAUSE_SECONDS))
                trouble = f"{error}; asking again in {pause:.0f} s"


def _screen(snapshot: ServerSnapshot, trouble: str, height: int) -> RenderableType:
    parts: list[RenderableType] = [_head(snapshot), Text(throughput(snapshot))]
    if trouble:
        age = (datetime.now(UTC) - snapshot.at).total_seconds()
        parts.append(Text(printable(f"{age:.0f} s old: {trouble}"), style="bold red"))
    parts += [Text(printable(each), style="red") for each in problems(snapshot)]
    left = height - len(parts) - 1
    for table in tables(snapshot):
        shown = max(1, min(len(table.rows), left - _GAPS))
        if left < _GAPS:
            break
        parts.append(_rich_table(table, shown))
        left -= shown + _GAPS
    return Group(*parts)


def _head(snapshot: ServerSnapshot) -> Text:
    state = str(snapshot.server["state"])
    text = Text(printable(headline(snapshot)), style="bold")
    text.highlight_words([f"  {state}  "], _STATE_STYLES.get(state, "red"))
    text.append(f"  {snapshot.at:%H:%M:%S} UTC  q ends", style="dim")
    return text


def _rich_table(table: TopTable, shown: int) -> RenderableType:
    """The first rows of a table; its title says if there are more."""
    hidden = len(table.rows) - shown
    title = f"{table.title} ({len(table.rows)}{f', {hidden} not shown' if hidden > 0 else ''})"
    drawn = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=True
    )
    if not table.rows:
        drawn.add_column(table.empty, header_style="dim")
        return drawn
    for column in table.columns:
        is_number = column in table.numbers
        drawn.add_column(
            column,
            header_style="dim",
            justify="right" if is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=_RATIOS.get(column),
        )
    for row in table.rows[:shown]:
        drawn.add_row(*(Text(printable(cell)) for cell in row))  # as Text: markup in names stays text
    return drawn
