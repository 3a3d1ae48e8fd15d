"""A chained audit log is whole after all that befalls a file of logs, and shows what anybody has changed."""

from __future__ import annotations

import fcntl
import gzip
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.audit_chain import Position, link
from s3sftp.telemetry.audit_chain_file import FileChain, read_key, state_file
from s3sftp.telemetry.audit_file import AuditFile
from s3sftp.telemetry.audit_reading import anchors_in
from s3sftp.telemetry.audit_verification import Verification, verify
from testbed.processes import wait_until
from tests.support.commands import installed

KEY = b"0123456789abcdef0123456789abcdef"
each_key = pytest.mark.parametrize("key", [None, KEY], ids=["hashes", "hashes with a key"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Log:
    """A log that this process writes."""

    def __init__(self, file: Path, key: bytes | None = None) -> None:
        self.anchors: list[Position] = []
        self.broken: list[str] = []
        self._chain = FileChain(file, key, self.anchors.append, broken=self.broken.append)
        self._lines = AuditFile(file, lambda error: None, lambda lost: None, chain=self._chain)
        self._lines.start()
        self._numbers = itertools.count(1)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.put()
            assert self.finish()  # so that each is a batch of its own

    def finish(self, seconds: float = 30) -> bool:
        return self._lines.finish(seconds)

    def put(self) -> None:
        line = {"time": _now(), "number": next(self._numbers), "text": 'é"}\n'}
        self._lines.put(json.dumps(line).encode() + b"\n")


def check(*files: Path, key: bytes | None = None, expect: str = "", after: str | None = None) -> Verification:
    return verify(files, [key] if key else [], [expect] if expect else [], after=after)


def first_problem(found: Verification) -> str:
    assert not found.is_whole
    problem = found.problems[0]
    return f"{problem.file.name}:{problem.line}: {problem.text}"


@contextmanager
def appender(file: Path, name: str, key: bytes | None) -> Iterator[subprocess.Popen[str]]:
    words = (str(file), name, (key or b"").decode())
    command = [sys.executable, "-m", "tests.telemetry.chain_appender", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()


def answered(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline()


def logrotate(directory: Path, *directives: str) -> None:
    """Debian's, once."""
    config = directory / "logrotate.conf"
    rules = "\n".join(("rotate 10", *directives))
    config.write_text(f"{directory}/audit.log {{\n{rules}\n}}\n")
    directory.chmod(0o755)  # logrotate refuses directories that others may write to
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "logrotate is needed, see .ci/run"
    subprocess.run([program, "--force", "--state", directory / "state", config], check=True)


def logs_in(directory: Path, pattern: str = "audit.log*") -> list[Path]:
    return sorted(each for each in directory.glob(pattern) if each.suffix != ".chain")


# ── what is whole ───────────────────────────────────────────────────────────────────────────────────


@each_key
@pytest.mark.parametrize(
    "directives",
    [("create", "compress", "delaycompress"), ("nocreate", "compress")],
    ids=["create", "nocreate"],
)
def test_one_chain_goes_through_all_processes_and_all_files_that_logrotate_makes(
    tmp_path: Path, key: bytes | None, directives: tuple[str, ...]
) -> None:
    file = tmp_path / "audit.log"
    with ExitStack() as stack:
        running = [stack.enter_context(appender(file, f"p{number}", key)) for number in range(3)]
        for _ in range(3):
            for process in running:
                ask(process, 300)
            for process in running:
                answered(process)
            logrotate(tmp_path, *directives)
        for process in running:
            ask(process, 1)
            answered(process)
    files = logs_in(tmp_path)
    assert [each.name for each in files if each.suffix == ".gz"]
    found = check(*files, key=key)
    assert (found.problems, found.notes) == ([], [])
    assert found.lines == 3 * 3 * 300 + 3
    assert found.files[-1] == file
    assert not check(*(each for each in files if "log.2" not in each.name), key=key).is_whole


def test_a_rotation_while_processes_write_breaks_no_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with ExitStack() as stack:
        running = [stack.enter_context(appender(file, f"p{number}", None)) for number in range(3)]
        for _ in range(4):
            for process in running:
                ask(process, 500)
            wait_until(lambda: file.exists() and file.stat().st_size > 0, 30, "lines")
            logrotate(tmp_path, "create")  # in the middle
            for process in running:
                answered(process)
    found = check(*logs_in(tmp_path))
    assert (found.problems, found.notes) == ([], [])
    assert found.lines == 4 * 3 * 500


def test_whoever_finds_the_file_rotated_waits_for_those_who_still_write_to_the_old_one(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.log"
    one, other = Log(file), Log(file)
    one.write(1)
    with file.open("rb") as old, state_file(file).open("rb") as state:
        fcntl.flock(old, fcntl.LOCK_EX)  # a disk that does not answer
        one.put()
        wait_until(lambda: not _is_free(state), 30, "the one that writes")
        file.rename(tmp_path / "audit.log.1")
        other.put()
        assert not other.finish(0.3)
    assert one.finish()
    assert other.finish()
    found = check(*logs_in(tmp_path))
    assert (found.problems, found.lines) == ([], 3)


def _is_free(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def test_copytruncate_leaves_a_chain_that_is_whole_if_nobody_writes_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = Log(file)
    log.write(5)
    logrotate(tmp_path, "copytruncate")
    assert file.stat().st_size == 0
    log.write(5)
    found = check(file, tmp_path / "audit.log.1")
    assert (found.problems, found.lines) == ([], 10)


def test_a_server_that_starts_on_an_empty_file_continues_the_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    Log(file).write(3)
    file.rename(tmp_path / "audit.log.1")
    Log(file).write(3)
    found = check(file, tmp_path / "audit.log.1")
    assert (found.problems, found.lines) == ([], 6)


def test_the_chain_goes_on_although_its_own_file_is_lost_or_behind(tmp_path: Path) -> None:
    """The server was killed after the lines and before their place was noted, or the disk was restored."""
    file = tmp_path / "audit.log"
    Log(file).write(3)
    behind = state_file(file).read_bytes()
    Log(file).write(3)
    wrong = [b"", b"\0" * 100, b"17", b'{"chain": "no", "sequence": -1, "hash": ""}']
    wrong += [
        b'{"chain": "no", "sequence": %s, "hash": ""}' % number for number in (b"Infinity", b"NaN", b"1e999")
    ]
    wrong += [b"[" * 4096, b"9" * 4096, b'{"sequence": []}', b"\xff"]
    for state in (behind, *wrong):
        state_file(file).write_bytes(state)
        Log(file).write(1)
    state_file(file).unlink()
    Log(file).write(1)
    found = check(file)
    assert (found.problems, found.lines) == ([], 8 + len(wrong))


def test_a_line_that_a_crash_cut_off_breaks_nothing_and_is_mentioned(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    Log(file).write(2)
    with file.open("ab") as stream:
        stream.write(b'{"time": "2026", "numb')
    assert first_problem(check(file)) == "audit.log:3: the file ends in the middle of this line"
    Log(file).write(2)
    found = check(file)
    assert found.problems == []
    assert [str(note) for note in found.notes] == [f"{file}:3: a crash cut this line off"]
    text = file.read_bytes()
    file.write_bytes(text.replace(b'"numb\n', b'"somb\n'))
    assert not check(file).is_whole, "what the crash left is known too"
    file.write_bytes(text.replace(b'{"time": "2026", "numb\n', b""))
    assert not check(file).is_whole


def test_processes_that_are_killed_while_they_write_leave_a_chain_that_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    for round_ in range(6):
        with appender(file, f"p{round_}", KEY) as process:
            ask(process, 20_000)
            size = file.stat().st_size if file.exists() else 0
            while not file.exists() or file.stat().st_size == size:  # it is writing
                pass
            process.send_signal(signal.SIGKILL)
    Log(file, KEY).write(1)
    assert check(file, key=KEY).problems == []


def test_a_full_disk_breaks_no_chain(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk: the kernel writes what fits, then nothing."""
    file = tmp_path / "audit.log"
    script = (
        "import signal, resource, sys, pathlib; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY));"
        "from s3sftp.telemetry.audit_file import *; import threading; file = pathlib.Path(sys.argv[1]);"
        "failed = threading.Event();"
        "log = AuditFile(file, lambda e: failed.set(), print, chain=FileChain(file, None, lambda p: None));"
        "log.start(); [log.put(b'{\"number\": %d}\\n' % n) for n in range(100)]; assert failed.wait(30);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY));"
        "assert log.finish(30)"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True, capture_output=True)
    found = check(file)
    assert (found.problems, found.lines) == ([], 100)


def test_lines_that_the_server_itself_has_lost_are_no_gap_in_the_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    chain = FileChain(file, None, lambda place: None)
    lines = AuditFile(file, lambda error: None, lambda lost: None, max_bytes=100, chain=chain)
    lines.start()
    with state_file(file).open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # a disk that does not answer
        for number in range(20):
            lines.put(b'{"number": %d}\n' % number)
    assert lines.finish(30)
    found = check(file)
    assert found.problems == []
    assert 0 < found.lines < 20


# ── what is not ─────────────────────────────────────────────────────────────────────────────────────


def edited(lines: list[bytes]) -> None:
    lines[2] = lines[2].replace(b'"number": 3', b'"number": 4')


def removed(lines: list[bytes]) -> None:
    del lines[2:4]


def replaced_by_nothing(lines: list[bytes]) -> None:
    lines[2] = b'{"time": "2026", "number": 3}\n'


def inserted(lines: list[bytes]) -> None:
    lines.insert(2, b'{"time": "2026", "event": "login.accepted"}\n')


def reordered(lines: list[bytes]) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def repeated(lines: list[bytes]) -> None:
    lines.insert(3, lines[2])


def without_start(lines: list[bytes]) -> None:
    del lines[:2]


def inserted_at_the_start(lines: list[bytes]) -> None:
    lines.insert(0, b'{"time": "2026", "event": "login.accepted"}\n')


def truncated(lines: list[bytes]) -> None:
    del lines[-1]


def cut(lines: list[bytes]) -> None:
    lines[-1] = lines[-1][:50]


@each_key
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edited, "3: was changed: its hash is not that of its bytes"),
        (removed, "3: 2 lines are missing before it, from 3 of the chain on"),
        (replaced_by_nothing, "3: is not of the chain: it was inserted, or changed beyond recognition"),
        (inserted, "3: is not of the chain: it was inserted, or changed beyond recognition"),
        (reordered, "3: 1 line is missing before it, from 3 of the chain on"),
        (repeated, "4: stands in the wrong place: it is line 3 of the chain, after 3"),
        (without_start, "1: is line 3 of the chain: those before it are missing."),
        (inserted_at_the_start, "2: 1 line is before it without a hash, so nobody knows who wrote them"),
        (cut, "6: the file ends in the middle of this line"),
    ],
)
def test_the_first_line_that_is_not_as_it_was_written_is_named(
    tmp_path: Path, key: bytes | None, change: Callable[[list[bytes]], None], says: str
) -> None:
    file = tmp_path / "audit.log"
    Log(file, key).write(6)
    lines = file.read_bytes().splitlines(keepends=True)
    change(lines)
    file.write_bytes(b"".join(lines))
    assert first_problem(check(file, key=key)).startswith(f"audit.log:{says}")


def test_lines_that_were_cut_off_are_found_by_a_hash_that_is_known_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = Log(file)
    log.write(6)
    lines = file.read_bytes().splitlines(keepends=True)
    truncated(lines)
    file.write_bytes(b"".join(lines))
    assert check(file).is_whole, "nothing in the file tells"
    last = log.anchors[-1]
    assert last.sequence == 6
    found = check(file, expect=last.hash)
    assert not found.is_whole
    assert found.not_found == [last.hash.removeprefix("sha256:")]
    log.write(1)
    assert first_problem(check(file)) == "audit.log:6: 1 line is missing before it, from 6 of the chain on"


def test_a_process_that_goes_on_is_not_deceived_by_an_older_copy_of_both_files(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = Log(file)
    log.write(2)
    older = file.read_bytes(), state_file(file).read_bytes()
    log.write(2)
    file.write_bytes(older[0])
    state_file(file).write_bytes(older[1])
    log.write(1)
    assert first_problem(check(file)) == "audit.log:3: 2 lines are missing before it, from 3 of the chain on"


def test_what_an_older_copy_of_both_files_lacks_is_found_by_anchors_alone_if_another_process_goes_on(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.log"
    Log(file, KEY).write(2)
    older = file.read_bytes(), state_file(file).read_bytes()
    log = Log(file, KEY)
    log.write(2)
    file.write_bytes(older[0])
    state_file(file).write_bytes(older[1])
    Log(file, KEY).write(3)
    assert check(file, key=KEY).is_whole, "as docs/audit.md admits"
    found = verify([file], [KEY], anchors=log.anchors)
    assert found.not_found == [each.hash for each in log.anchors]


def test_whoever_writes_the_whole_log_anew_needs_the_key(tmp_path: Path) -> None:
    for name, key in (("without", None), ("with another", b"x" * 32)):
        file = tmp_path / name
        Log(file, key).write(3)
        assert check(file, key=key).is_whole
        assert not check(file, key=KEY).is_whole
    file = tmp_path / "audit.log"
    Log(file, KEY).write(3)
    assert "--key" in first_problem(check(file))
    Log(file).write(3)  # as somebody without the key would go on
    assert first_problem(check(file, key=KEY)).endswith("hashed without a key, and lines before it with one")


def hashes(file: Path) -> list[str]:
    return [json.loads(line)["hash"] for line in file.read_text().splitlines()]


def forge(file: Path, after: Position, count: int) -> Position:
    """Replace the file, as somebody can who has not got the key. Returns the place of the last line."""
    forged = []
    for number in range(count):
        line, after = link(b'{"time": "2026", "number": %d}\n' % number, after, None)
        forged.append(line)
    file.write_bytes(b"".join(forged))
    return after


def state_of(place: Position) -> bytes:
    return json.dumps({"chain": place.chain, "sequence": place.sequence, "hash": place.hash}).encode()


@pytest.mark.parametrize("state", ["left", "removed", "forged"])
@pytest.mark.parametrize("goes_on", ["the server", "the server, started anew"])
@pytest.mark.parametrize("replaced", ["all", "all after a line that is known"])
def test_nobody_without_the_key_can_have_the_server_go_on_after_lines_of_his_own(
    tmp_path: Path, replaced: str, goes_on: str, state: str
) -> None:
    file = tmp_path / "audit.log"
    log = Log(file, KEY)
    log.write(3)
    known = None
    begin = Position(json.loads(file.read_text().splitlines()[0])["chain"], 0, "")
    if replaced != "all":
        known = hashes(file)[-1]
        begin = Position(begin.chain, 3, known)
        file.rename(tmp_path / "audit.log.1")
        log.write(2)
    last = forge(file, begin, 6)
    if state == "removed":
        state_file(file).unlink()
    elif state == "forged":
        state_file(file).write_bytes(state_of(last))
    if goes_on != "the server":
        log = Log(file, KEY)
    log.write(2)
    text = first_problem(check(file, key=KEY, after=known))
    assert text.startswith("audit.log:1: was hashed without a key")
    if goes_on == "the server" or state == "left":
        assert len(log.broken) == 1
        assert "without a key" in log.broken[0]
        assert len(check(file, key=KEY, after=known).problems) > 6, "nor does the server follow them"


def test_a_chain_that_is_replaced_while_the_server_runs_is_reported_by_it(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = Log(file)
    log.write(2)
    state_file(file).unlink()
    forge(file, Position("f" * 16, 0, ""), 3)
    log.write(2)
    assert len(log.broken) == 1
    assert f"chain {'f' * 16}" in log.broken[0]


def test_a_key_may_be_introduced_and_changed(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    Log(file).write(2)
    Log(file, KEY).write(2)
    Log(file, b"y" * 32).write(2)
    first = hashes(file)[2]  # with a key
    assert verify([file], [KEY, b"y" * 32], keyed_from=first).is_whole
    assert first_problem(verify([file], [KEY], keyed_from=first)).startswith("audit.log:5: was changed")
    assert "--keyed-from" in first_problem(verify([file], [KEY, b"y" * 32]))
    for wrong in (hashes(file)[1], "0" * 64):
        assert verify([file], [KEY, b"y" * 32], keyed_from=wrong).not_found == [wrong.rpartition(":")[2]]
    text = file.read_bytes()
    file.write_bytes(text.replace(b'"number": 1', b'"number": 7', 1))
    found = verify([file], [KEY, b"y" * 32], keyed_from=first)
    assert first_problem(found).startswith("audit.log:1: was changed")


def test_files_that_rotation_has_removed_are_replaced_by_the_hash_of_their_last_line(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = Log(file)
    log.write(3)
    file.unlink()
    log.write(3)
    assert "--after" in first_problem(check(file))
    assert check(file, after=log.anchors[2].hash).is_whole
    assert not check(file, after=log.anchors[1].hash).is_whole


def test_a_chain_that_begins_anew_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    Log(file).write(3)
    file.rename(tmp_path / "audit.log.1")
    state_file(file).unlink()
    Log(file).write(3)
    text = first_problem(check(tmp_path / "audit.log.1", file))
    assert text == "audit.log:1: begins a new chain: the end of the one before may be missing"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], str]:
    file = tmp_path_factory.mktemp("whole") / "audit.log"
    log = Log(file, KEY)
    log.write(5)
    return file.read_bytes().splitlines(keepends=True), log.anchors[-1].hash


@given(data=st.data())
def test_whatever_is_changed_is_found(
    whole: tuple[list[bytes], str], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines, last = whole
    text = b"".join(lines)
    start = data.draw(st.integers(0, len(text)), "start")
    stop = data.draw(st.integers(start, min(len(text), start + 900)), "stop")
    new = data.draw(
        st.one_of(st.binary(max_size=40), st.sampled_from(lines), st.just(b"\n"), st.just(text)), "new"
    )
    changed = text[:start] + new + text[stop:]
    file = tmp_path_factory.getbasetemp() / "changed.log"
    file.write_bytes(changed)
    assert check(file, key=KEY, expect=last).is_whole is (changed == text)


# ── as others see it ────────────────────────────────────────────────────────────────────────────────


def test_a_pipe_is_no_log_to_verify_because_it_is_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert first_problem(check(tmp_path / "pipe")) == "pipe:0: cannot be read: is no regular file"


@each_key
def test_openssl_computes_the_same_hashes_as_the_page_says(tmp_path: Path, key: bytes | None) -> None:
    file = tmp_path / "audit.log"
    Log(file, key).write(3)
    previous = ""
    for line in file.read_text().splitlines():
        hashed = line.rpartition(', "hash": "')[0]
        words = ["-hmac", key.decode()] if key else []
        done = subprocess.run(
            [installed("openssl"), "dgst", "-sha256", *words, "-r"],
            input=hashed.encode(),
            capture_output=True,
            check=True,
        )
        read = json.loads(line)
        assert read["hash"].rpartition(":")[2] == done.stdout.split()[0].decode()
        assert read["previous"] == previous
        previous = read["hash"]


def test_compressed_files_are_read_and_a_damaged_one_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = Log(file)
    for tool, ending in (("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz")):
        log.write(2)
        moved = file.rename(tmp_path / f"{tool}.log")
        subprocess.run([installed(tool), str(moved)], check=True)
        assert moved.with_suffix(f".log.{ending}").exists()
    log.write(2)
    files = logs_in(tmp_path, "*.log*")
    assert check(*files).is_whole
    for name in ("gzip.log.gz", "bzip2.log.bz2", "xz.log.xz"):
        packed = tmp_path / name
        undamaged = packed.read_bytes()
        for offset in range(6, len(undamaged)):
            packed.write_bytes(
                undamaged[:offset] + bytes([undamaged[offset] ^ 0xFF]) + undamaged[offset + 1 :]
            )
            check(*files)  # reports, and does not raise; some bytes of a header mean nothing
        packed.write_bytes(
            undamaged[: len(undamaged) // 2] + b"\xff" * 9 + undamaged[len(undamaged) // 2 + 9 :]
        )
        assert "cannot be read" in first_problem(check(*files))
        packed.write_bytes(undamaged)
    packed = tmp_path / "gzip.log.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    assert not check(*files).is_whole
    packed.write_bytes(gzip.compress(b""))
    assert not check(*files).is_whole


def test_every_line_is_anchored_in_time_also_if_no_other_follows(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    anchors: list[Position] = []
    came = threading.Event()

    def anchored(place: Position) -> None:
        anchors.append(place)
        came.set()

    log = AuditFile(
        file,
        lambda error: None,
        lambda lost: None,
        chain=FileChain(file, None, anchored, anchor_seconds=0.01),
    )
    log.start()
    log.put(b'{"number": 1}\n')
    assert came.wait(30)
    assert anchors[0].hash == json.loads(file.read_text())["hash"]
    assert verify([file], expected=[anchors[0].hash]).is_whole


def test_anchors_are_read_from_the_log_in_each_form_and_nobody_can_forge_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    place = Position("0123456789abcdef", 17, f"sha256:{'ab' * 32}")
    fields = f"chain={place.chain} sequence=17 hash={place.hash}"
    forged = json.dumps({"event": "login.failed", "user": f"audit.anchored {fields}"})
    for line in (
        json.dumps(
            {"chain": place.chain, "sequence": 17, "hash": place.hash, "event": "audit.anchored", "file": "x"}
        ),
        f"timestamp=2026 level=info event=audit.anchored worker=2 file=/x {fields} logger=s3sftp.telemetry",
        f"12:00:00.123 info    audit.anchored           file=/x {fields}",
    ):
        log.write_text(f"{forged}\nNov 27 12:00:00 host s3sftp[3]: {line}\n" if line[0] == "{" else line)
        assert anchors_in(log) == [place]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot read it: No such file"), ("short", "has 5 bytes")]
)
def test_a_key_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=f"audit.chain_key_file = .*{says}"):
        read_key(file, "audit.chain_key_file")
