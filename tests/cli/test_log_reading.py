"""`s3sftp logs`: what it reads is shown readable and filtered, whoever has collected it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from s3sftp.cli.logs import logs
from testbed.processes import Process, wait_until
from tests.cli.command_process import clean_environment, s3sftp

DAY = "2026-11-25"
UPLOADED: Mapping[str, Any] = {
    "event": "upload.committed",
    "level": "info",
    "timestamp": f"{DAY}T09:30:00.123456Z",
    "path": "/inbox/orders.csv",
    "bytes": 48213,
    "user": "alice",
    "session": "9f2c41d07ab3.1",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}
FAILED = {**UPLOADED, "event": "upload.failed", "level": "warning", "user": "bob", "session": "0a.1"}
CLOSED = {
    "event": "connection.closed",
    "level": "debug",
    "timestamp": f"{DAY}T09:31:00Z",
    "connection": "9f2c41d07ab3",
}
TRACEBACK = "Traceback (most recent call last):"
LOG = "\n".join([json.dumps(UPLOADED), TRACEBACK, json.dumps(FAILED), json.dumps(CLOSED)]) + "\n"


def printed(*words: str, stdin: str = LOG) -> str:
    """What the command prints, run in this process."""
    done = CliRunner().invoke(logs, words, input=stdin)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def shown(*words: str, stdin: str = LOG) -> list[str]:
    """The events, or the lines that are none, that the command shows of a log."""
    lines = [line for line in printed(*words, stdin=stdin).splitlines() if line != f"{DAY} (UTC)"]
    return [match[1] if (match := re.match(r"\S+ \w+ +(\S+)", line)) else line for line in lines]


def test_a_line_is_readable_with_the_day_above_and_all_fields() -> None:
    text = s3sftp("logs", stdin=LOG).stdout
    day, first, *_ = text.splitlines()
    assert day == f"{DAY} (UTC)"
    assert re.match(
        r"09:30:00.123 info +upload.committed +path=/inbox/orders.csv bytes=48213 user=alice", first
    )
    assert "\x1b" not in text


def test_without_a_filter_lines_that_are_no_events_are_shown_too() -> None:
    assert shown() == ["upload.committed", TRACEBACK, "upload.failed", "connection.closed"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--user", "alice"], ["upload.committed"]),
        (["--user", "alice", "--user", "bob"], ["upload.committed", "upload.failed"]),
        (["--session", "9f2c41d07ab3.1"], ["upload.committed", "connection.closed"]),
        (["--session", "9f2c41d07ab3"], ["upload.committed", "connection.closed"]),
        (["--session", "9f2c41d07ab3.2"], ["connection.closed"]),
        (["--event", "upload.*"], ["upload.committed", "upload.failed"]),
        (["--event", "upload.failed"], ["upload.failed"]),
        (["--level", "warning"], ["upload.failed"]),
        (["--level", "info"], ["upload.committed", "upload.failed"]),
        (["--path", "orders"], ["upload.committed", "upload.failed"]),
        (["--path", "*.csv", "--user", "bob"], ["upload.failed"]),
        (["--path", "/inbox"], ["upload.committed", "upload.failed"]),
        (["--path", "/inbox/*.xml"], []),
        (["--trace", "4bf92f3577b34da6a3ce929d0e0e4736"], ["upload.committed", "upload.failed"]),
        (["--trace", "0"], []),
    ],
    ids=" ".join,
)
def test_filters_leave_what_they_all_are_true_of(words: list[str], expected: list[str]) -> None:
    assert shown(*words) == expected


@pytest.mark.parametrize(
    "before",
    [
        "Nov 25 09:30:00 host s3sftp[12]: ",
        "2026-11-25T09:30:00.123456789Z stderr F ",
        "s3sftp-1  | ",
    ],
    ids=["journald", "Kubernetes", "Compose"],
)
def test_what_a_collector_puts_before_a_line_does_not_matter(before: str) -> None:
    assert shown("--user", "alice", stdin=f"{before}{json.dumps(UPLOADED)}\n") == ["upload.committed"]


def test_no_line_can_do_anything_to_the_terminal() -> None:
    hostile = {**UPLOADED, "path": "/\x1b[2J\u202e", "e\x1bvil": "x\ny"}
    text = printed(stdin=f"{json.dumps(hostile)}\n\x1b[2Jno event\n{{'\x1b]0;x\x07\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert len(text.splitlines()) == 4  # with the day


def test_json_lines_stay_as_they_are() -> None:
    assert json.loads(printed("--json", "--user", "alice")) == UPLOADED


def test_a_file_is_followed_through_rotation_and_truncation(tmp_path: Path) -> None:
    file = tmp_path / "s3sftp.log"
    file.write_text(_line("one"))
    command = [sys.executable, "-m", "s3sftp", "logs", "-f", str(file)]
    process = Process(command, tmp_path / "shown", env=clean_environment())

    def shows(path: str) -> bool:
        return f"path={path} " in process.output()

    try:
        wait_until(lambda: shows("one"), 60, "the first line")
        with file.open("a") as stream:
            stream.write(_line("two"))
        wait_until(lambda: shows("two"), 60, "a line that was appended")
        os.rename(file, tmp_path / "s3sftp.log.1")
        with (tmp_path / "s3sftp.log.1").open("a") as stream:
            stream.write(_line("three"))
        file.write_text(_line("four"))
        wait_until(lambda: shows("three") and shows("four"), 60, "both sides of a rotation")
        file.write_text(_line("5"))  # shorter than what was there
        wait_until(lambda: shows("5"), 60, "a file that was truncated")
    finally:
        process.kill()
    assert process.output().count("path=") == 5


def _line(path: str) -> str:
    return json.dumps({**UPLOADED, "path": path}) + "\n"


def test_a_file_that_is_not_there_and_a_terminal_are_refused_with_advice(tmp_path: Path) -> None:
    missing = s3sftp("logs", str(tmp_path / "no"))
    assert (missing.returncode, "No such file" in missing.stderr) == (1, True)
    assert "Traceback" not in missing.stderr
