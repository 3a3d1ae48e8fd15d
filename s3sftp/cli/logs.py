"""`s3sftp logs`: the server's log, readable and filtered."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from s3sftp.cli.followed_file import lines_of
from s3sftp.cli.log_lines import LEVELS, Event, LogFilter, event_of
from s3sftp.telemetry.log_forms import TextRenderer
from s3sftp.telemetry.logs import escape_event, printable

_MAX_CHARS = 16_000
_FORBIDDEN = re.compile(r"[^\w.-]")
"""What the name of a field in `name=value` cannot have."""


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-f", "--follow", is_flag=True, help="Go on with the lines that FILE gets, through rotations.")
@click.option("--user", "users", multiple=True, help="Only this user's. Repeatable.")
@click.option("--session", default="", help="Only this session and its connection; or a whole connection.")
@click.option("--path", default="", help="Only files whose path has this part, or fits this pattern with *.")
@click.option("--event", "events", multiple=True, help="Only this event, such as upload.*. Repeatable.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="This level and more severe ones.")
@click.option("--trace", default="", help="Only this trace id.")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are.")
def logs(
    file: Path | None,
    follow: bool,
    users: tuple[str, ...],
    session: str,
    path: str,
    events: tuple[str, ...],
    level: str,
    trace: str,
    as_json: bool,
) -> None:
    """Read the server's log in JSON from FILE or standard input, and show it readable.

    The server writes its log to standard error, and keeps none itself. So this command reads what collects
    it:

    \b
      journalctl -u s3sftp -o cat -f | s3sftp logs --user alice
      kubectl logs -f POD | s3sftp logs --level warning
      docker logs -f NAME 2>&1 | s3sftp logs --event 'upload.*'
      s3sftp logs -f /var/log/s3sftp/s3sftp.log

    The log has to be JSON (log.format; the default where standard error is no terminal). Other lines, such as
    tracebacks of a crash, are shown unless something is filtered.
    """
    wanted = LogFilter(users, session, path, events, level, trace)
    show = _Shown(as_json=as_json)
    for line in _lines(file, follow=follow):
        event = event_of(line)
        if wanted.wants_all if event is None else wanted.wants(event):
            click.echo(show(line, event))


class _Shown:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._day = ""
        self._render = TextRenderer(colours=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    def __call__(self, line: str, event: Event | None) -> str:
        # what stands in a log by now was escaped by the server; what forged a line was not
        if event is None or self._as_json:
            return printable(line, _MAX_CHARS)
        named = {_FORBIDDEN.sub("_", name): value for name, value in event.items()}
        escaped = escape_event(None, "", named)
        return self._heading(str(escaped.get("timestamp", ""))) + self._render(None, "", escaped)

    def _heading(self, timestamp: str) -> str:
        """The date, if it is another one than that of the line before: lines have the time of day."""
        day, _, time = timestamp.partition("T")
        if not time or day == self._day:
            return ""
        self._day = day
        return f"{day} (UTC)\n"


def _lines(file: Path | None, *, follow: bool) -> Iterator[str]:
    if file is not None and str(file) != "-":
        yield from lines_of(file, follow=follow)
        return
    if sys.stdin.isatty():
        raise click.UsageError(
            "there is nothing to read: name the file of the log, or pipe it, as in "
            "`journalctl -u s3sftp -o cat -f | s3sftp logs`"
        )
    for line in sys.stdin.buffer:
        yield line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
