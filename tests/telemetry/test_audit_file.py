"""Lines of the audit log are whole, whoever else writes, and whatever becomes of file and disk."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.appended_file import require_appendable
from s3sftp.telemetry.audit_file import AuditFile
from s3sftp.telemetry.audit_queue import LineWriter
from testbed.processes import wait_until
from tests.telemetry.audit_appender import ROUND

PROCESSES, ROUNDS = 4, 4
LINES = ROUNDS * ROUND


@contextmanager
def appender(
    file: Path, name: str, lines: int, chars: int, limit: int = 0
) -> Iterator[subprocess.Popen[str]]:
    words = (file, name, lines, chars, limit)
    command = [sys.executable, "-m", "tests.telemetry.audit_appender", *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let it continue."""
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def numbers(*files: Path) -> dict[str, list[int]]:
    """The numbers of each process's lines, in their order. Fails if a line is not whole."""
    found: dict[str, list[int]] = {}
    for file in files:
        text = file.read_text()
        assert text.endswith("\n")
        for line in text.splitlines():
            read = json.loads(line)
            found.setdefault(read["name"], []).append(read["number"])
    return found


@pytest.mark.parametrize("chars", [100, 9000], ids=["short lines", "lines longer than a pipe's buffer"])
def test_lines_of_several_processes_are_whole_and_in_order_while_the_file_is_rotated(
    tmp_path: Path, chars: int
) -> None:
    file, rotated = tmp_path / "audit.log", [tmp_path / f"audit.log.{number}" for number in range(ROUNDS)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(appender(file, f"p{number}", LINES, chars)) for number in range(PROCESSES)
        ]
        for name in rotated:
            for process in running:
                go_on(process)
            wait_until(lambda: file.exists() and file.stat().st_size > 0, 30, "lines")
            file.rename(name)  # while they write
        assert [process.wait(60) for process in running] == [0] * PROCESSES
    left = [file] if file.exists() else []
    assert numbers(*rotated, *left) == {f"p{number}": list(range(LINES)) for number in range(PROCESSES)}


def test_a_full_disk_leaves_no_part_of_a_line_and_loses_none(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk: the kernel writes what fits, then nothing."""
    file = tmp_path / "audit.log"
    with appender(file, "p", LINES, 100, limit=10_000) as process:
        assert process.stdout is not None
        assert "File too large" in process.stdout.readline()
        assert file.stat().st_size <= 10_000
        if file.stat().st_size:
            numbers(file)
        go_on(process)
        assert process.wait(60) == 0
    assert numbers(file) == {"p": list(range(LINES))}


def test_whoever_puts_a_line_never_waits_and_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    lost: list[int] = []
    written = AuditFile(file, lambda error: None, lost.append, max_bytes=1000)
    with file.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # a disk that does not answer
        written.start()
        began = time.process_time()
        for number in range(30):
            written.put(b"%099d\n" % number)
        assert time.process_time() - began < 1
        assert not written.finish(0)
    assert written.finish(30)
    wait_until(lambda: bool(lost), 30, "the report of what was lost")
    count = len(file.read_text().splitlines())
    assert 0 < count < 30
    assert lost == [30 - count]


def test_a_reader_that_keeps_the_lock_raises_an_alarm_and_loses_no_line(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    file.touch()
    failed: SimpleQueue[OSError] = SimpleQueue()
    written = AuditFile(file, failed.put, lambda lost: None, lock_seconds=0.05)
    with file.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        written.start()
        for number in range(10):
            written.put(b"%d\n" % number)
        error = failed.get(timeout=30)
        assert error.errno == errno.EAGAIN
        assert "lock" in (error.strerror or "")
        assert file.read_bytes() == b""
    assert written.finish(30)
    assert file.read_bytes() == b"".join(b"%d\n" % number for number in range(10))


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    file.write_text('{"name": "p", "num')
    written = AuditFile(file, lambda error: None, lambda lost: None)
    written.start()
    written.put(b'{"name": "q", "number": 1}\n')
    assert written.finish(30)
    assert file.read_text() == '{"name": "p", "num\n{"name": "q", "number": 1}\n'


def test_an_error_that_nobody_expected_stops_no_thread_and_loses_no_line(tmp_path: Path) -> None:
    errors: list[str] = []
    written: list[bytes] = []

    class Writer(LineWriter):
        def _write(self, lines: Sequence[bytes]) -> None:
            if not errors:
                raise OverflowError("too large")
            written.extend(lines)

    writer = Writer(lambda error: errors.append(str(error)), lambda lost: None)
    writer.start()
    writer.put(b"first\n")
    writer.put(b"second\n")
    assert writer.finish(30)
    assert written == [b"first\n", b"second\n"]
    assert errors == ["OverflowError: too large"]


def test_a_truncated_file_is_continued_at_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    written = AuditFile(file, lambda error: None, lambda lost: None)
    written.start()
    written.put(b"first\n")
    assert written.finish(30)
    with file.open("r+b") as same:  # as logrotate's copytruncate
        same.truncate(0)
    written.put(b"second\n")
    assert written.finish(30)
    assert file.read_bytes() == b"second\n"


def test_a_new_file_is_its_owners_alone_and_the_mode_of_one_that_exists_stays(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    require_appendable(file, "audit.output")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    require_appendable(file, "audit.output")
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["missing/audit.log", ".", "/dev/null"])
def test_what_cannot_be_written_is_refused_at_the_start_by_its_option(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^audit\.output = .*: cannot write it: "):
        require_appendable(tmp_path / name, "audit.output")
