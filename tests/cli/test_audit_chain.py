"""The chained audit log of a running server, and the command that verifies it."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3sftp.telemetry.audit_chain import Position
from testbed.s3_store import Store
from tests.cli.command_process import clean_environment, s3sftp, write_key_pair
from tests.cli.test_audit import Audited
from tests.support.server import Server
from tests.telemetry.test_audit_chain import Log, logrotate, logs_in

KEY = "4f1c" * 16
PAGE = Path(__file__).parents[2] / "docs/audit.md"


@pytest.fixture
async def chained(seaweed: Store, bucket: str, tmp_path: Path) -> AsyncIterator[Audited]:
    key, audit = tmp_path / "key", tmp_path / "audit.log"
    key.write_text(f"{KEY}\n")
    key.chmod(0o644)
    options: dict[str, dict[str, object]] = {
        "audit": {"output": str(audit), "chain": True, "chain_key_file": str(key)},
        "server": {"workers": 2},
    }
    server = Server(tmp_path / "server", seaweed, bucket, options)
    try:
        await server.astart()
        yield Audited(server, tmp_path, audit)
    finally:
        await asyncio.to_thread(server.close)


def verified(*words: object) -> subprocess.CompletedProcess[str]:
    return s3sftp("audit", "verify", *map(str, words))


async def test_the_log_of_a_server_is_whole_over_rotations_and_starts_and_its_end_is_in_the_ordinary_log(
    chained: Audited, tmp_path: Path
) -> None:
    server = chained.server
    for _ in range(2):
        assert await chained.sftp("ls\n") == 0
        await chained.until("login.accepted")
        await asyncio.to_thread(logrotate, tmp_path, "create", "compress")
    server.terminate()
    assert await server.ended() == 0
    (tmp_path / "key").chmod(0o640)
    await server.restart()
    assert await chained.sftp("ls\n") == 0
    server.terminate()
    assert await server.ended() == 0
    log = server.directory / "server.log"
    done = await asyncio.to_thread(verified, *logs_in(tmp_path), "--key", tmp_path / "key", "--anchors", log)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nlast hash: hmac-sha256:" in done.stdout
    last = done.stdout.split()[-1]
    assert last in [line["hash"] for line in server.events("audit.anchored")], "logged as the server ended"
    done = await asyncio.to_thread(verified, *logs_in(tmp_path), "--key", tmp_path / "key", "--expect", last)
    assert done.returncode == 0
    assert [line["mode"] for line in server.events("audit.key_exposed")] == ["0644"]  # at the first start
    assert KEY not in server.output()
    assert KEY not in chained.audit.read_text()

    lines = chained.audit.read_text().splitlines(keepends=True)
    chained.audit.write_text("".join(lines[:-1]))
    done = await asyncio.to_thread(verified, *logs_in(tmp_path), "--key", tmp_path / "key", "--anchors", log)
    assert done.returncode == 1
    assert f"no line has the hash {last}" in done.stderr
    chained.audit.write_text("".join(line.replace('"alice"', '"bob"') for line in lines))
    done = await asyncio.to_thread(verified, *logs_in(tmp_path), "--key", tmp_path / "key")
    assert done.returncode == 1
    number = next(number for number, line in enumerate(lines, 1) if '"alice"' in line)
    assert done.stderr.startswith(f"{chained.audit}:{number}: was changed: ")


@pytest.mark.parametrize("rotation", ["create", "nocreate"])
def test_the_command_of_the_page_works_as_it_stands_there(tmp_path: Path, rotation: str) -> None:
    log = Log(tmp_path / "audit.log", KEY.encode())
    log.write(2)
    (tmp_path / "audit.log").rename(tmp_path / "audit.log-20261126")
    if rotation == "create":
        log.write(2)
    (tmp_path / "audit.key").write_text(f"{KEY}\n")
    (tmp_path / "s3sftp.log").write_text("".join(map(anchored, log.anchors)))
    (line,) = (each for each in PAGE.read_text().splitlines() if each.startswith("$ s3sftp audit verify"))
    for directory in ("/var/log/s3sftp", "/etc/s3sftp"):
        line = line.replace(directory, shlex.quote(str(tmp_path)))
    command = line.replace("$ s3sftp", f"{shlex.quote(sys.executable)} -m s3sftp")
    assert "audit.log*" in command
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=clean_environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("whole: ")
    assert f"\nanchors: {len(log.anchors)} read" in done.stdout


def anchored(place: Position) -> str:
    event = {"event": "audit.anchored", "chain": place.chain, "sequence": place.sequence, "hash": place.hash}
    return json.dumps(event) + "\n"


def test_a_log_without_anchors_is_a_failure_and_those_that_are_there_are_counted(tmp_path: Path) -> None:
    log = Log(tmp_path / "audit.log")
    log.write(2)
    for name, content, says in (
        ("empty.log", b"", "empty.log: has no event audit.anchored"),
        ("packed.log.gz", b"\x1f\x8b broken", "packed.log.gz: cannot be read: "),
        ("missing.log", None, "missing.log: cannot be read: No such file"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        done = verified(tmp_path / "audit.log", "--anchors", tmp_path / name)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert done.stderr.startswith(f"{tmp_path}/{says}")
        assert done.stdout.startswith("NOT whole")
    events = "".join(map(anchored, log.anchors))
    done = s3sftp(  # from a pipe, as of `journalctl`
        "audit", "verify", str(tmp_path / "audit.log"), "--anchors", "/dev/stdin", stdin=events
    )
    assert (done.returncode, done.stderr) == (0, "")
    count = len(log.anchors)
    assert f"\nanchors: {count} read, {count} of them in these lines\n" in done.stdout


def test_the_file_of_a_chain_is_no_log_of_lines(tmp_path: Path) -> None:
    Log(tmp_path / "audit.log").write(1)
    done = verified(tmp_path / "audit.log.chain")
    assert (done.returncode, "no line has a chain" in done.stderr) == (1, True)


def test_a_key_that_was_turned_on_later_needs_the_hash_of_its_first_line(tmp_path: Path) -> None:
    Log(tmp_path / "audit.log").write(1)
    Log(tmp_path / "audit.log", KEY.encode()).write(1)
    (tmp_path / "audit.key").write_text(KEY)
    words = (tmp_path / "audit.log", "--key", tmp_path / "audit.key")
    done = verified(*words)
    assert (done.returncode, "--keyed-from" in done.stderr) == (1, True)
    first = json.loads((tmp_path / "audit.log").read_text().splitlines()[-1])["hash"]
    assert verified(*words, "--keyed-from", first).returncode == 0


def test_what_cannot_be_verified_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain.log").write_text('{"time": "2026-11-27", "event": "login.accepted"}\n')
    done = verified(tmp_path / "plain.log")
    assert (done.returncode, "no line has a chain" in done.stderr) == (1, True)
    done = verified(tmp_path / "missing.log")
    assert (done.returncode, "cannot be read: No such file" in done.stderr) == (1, True)
    done = verified(tmp_path / "plain.log", "--key", tmp_path / "plain.log")
    assert done.returncode == 1
    done = verified(tmp_path / "plain.log", "--expect", "abc")
    assert (done.returncode, "64 digits" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"S3SFTP_AUDIT__OUTPUT": "stdout", "S3SFTP_AUDIT__CHAIN": "true"}, "chain = true needs a file"),
        ({"S3SFTP_AUDIT__CHAIN_KEY_FILE": "/etc/passwd"}, "chain_key_file needs chain = true"),
        (
            {
                "S3SFTP_AUDIT__OUTPUT": "DIRECTORY/audit.log",
                "S3SFTP_AUDIT__CHAIN": "true",
                "S3SFTP_AUDIT__CHAIN_KEY_FILE": "DIRECTORY/no",
            },
            "audit.chain_key_file = ",
        ),
        (
            {"S3SFTP_AUDIT__OUTPUT": "DIRECTORY/held", "S3SFTP_AUDIT__CHAIN": "true"},
            "audit.chain = true: cannot",
        ),
    ],
)
def test_a_chain_that_cannot_be_kept_ends_the_start(
    tmp_path: Path, options: dict[str, str], says: str
) -> None:
    (tmp_path / "held.chain").mkdir()
    environ = {name: text.replace("DIRECTORY", str(tmp_path)) for name, text in options.items()}
    environ["S3SFTP_LOCAL__ROOT"] = str(tmp_path)
    write_key_pair(tmp_path / "key")
    flags = ("--backend", "local", "--port", "0", "--state-dir", str(tmp_path / "state"))
    flags += ("--user", "alice", "--authorized-keys", str(tmp_path / "key.pub"))
    done = s3sftp("serve", *flags, **environ)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
