"""The audit log of a running server: what real clients and reloads leave in it, and what never is in it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import signal
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from select import PIPE_BUF
from typing import Any

import paramiko
import pytest

from s3sftp.telemetry.audit import FROM_THE_LOG, MADE_FOR_IT, OF_FILES
from testbed.processes import wait_until
from testbed.s3_store import Store
from tests.cli.command_process import batch, s3sftp, sftp_command
from tests.docs.guides import DOCS
from tests.support.commands import installed
from tests.support.hook_server import hangs, running_hook
from tests.support.server import PASSWORD, Server
from tests.support.ssh_ca import make_key, public_line

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


class Audited:
    """A server with an audit log, and users in a directory of files."""

    def __init__(self, server: Server, users: Path, audit: Path) -> None:
        self.server, self.users, self.audit = server, users, audit

    def lines(self, *events: str) -> list[dict[str, Any]]:
        """The lines so far, read by jq: of these events, or all."""
        command = [installed("jq"), "--compact-output", ".", str(self.audit)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [line for line in found if not events or line["event"] in events]

    async def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many lines of an event."""
        enough = lambda: len(self.lines(event)) >= count  # noqa: E731
        await asyncio.to_thread(wait_until, enough, 30, f"{count} {event}")
        return self.lines(event)

    async def sftp(self, commands: str, user: str = "alice", key: Path | None = None) -> int:
        """OpenSSH's sftp; its exit status."""
        words = sftp_command(self.server.port, key or self.server.key_file, user=user)
        return (await asyncio.to_thread(batch, words, commands)).returncode

    def paramiko(self, password: str) -> None:
        """Raises paramiko.AuthenticationException: if the password is refused."""
        with contextlib.closing(paramiko.Transport((self.server.host, self.server.port))) as transport:
            transport.connect(username="alice", password=password)

    def write_user(self, name: str, **options: object) -> None:
        text = "".join(f"{option} = {json.dumps(value)}\n" for option, value in options.items())
        new = self.users / f".{name}"
        new.write_text(f"[users.{name}]\n{text}")
        new.rename(self.users / f"{name}.toml")

    def reload(self) -> None:
        assert self.server.process is not None
        self.server.process.send(signal.SIGHUP)


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
async def audited(
    request: pytest.FixtureRequest, seaweed: Store, bucket: str, tmp_path: Path
) -> AsyncIterator[Audited]:
    users, audit = tmp_path / "users", tmp_path / "audit.log"
    users.mkdir()
    options: dict[str, dict[str, object]] = {
        "audit": {"output": str(audit)},
        "auth": {"users_dir": str(users), "refusal_time": 0.01},
        "server": {"workers": request.param},
        'users.alice.paths."/locked"': {"rights": "read-only"},
        'users.alice.paths."/small"': {"max_file_bytes": 10},
        'users.alice.paths."/blind"': {"rights": ["list", "write", "append"]},
    }
    server = Server(tmp_path / "server", seaweed, bucket, options)
    try:
        await server.astart()
        yield Audited(server, users, audit)
    finally:
        await asyncio.to_thread(server.close)


async def test_each_login_is_a_line_and_so_is_why_one_was_refused(audited: Audited) -> None:
    assert await audited.sftp("ls\n") == 0
    other = make_key(audited.users.parent, "other")
    assert await audited.sftp("ls\n", key=other) != 0
    with pytest.raises(paramiko.AuthenticationException):
        await asyncio.to_thread(audited.paramiko, "a wrong guess")
    await asyncio.to_thread(audited.paramiko, PASSWORD)
    first, second = await audited.until("login.accepted", 2)
    assert (first["user"], first["method"], second["method"]) == ("alice", "publickey", "password")
    assert first["key"] == paramiko.Ed25519Key.from_private_key_file(str(audited.server.key_file)).fingerprint
    assert first["peer"].startswith("127.0.0.1:")
    by_key, by_password = await audited.until("login.failed", 2)
    assert (by_key["method"], by_password["method"]) == ("publickey", "password")
    assert by_key["key"] == paramiko.Ed25519Key.from_private_key_file(str(other)).fingerprint
    assert by_key["source"] == "127.0.0.1"


async def test_each_refused_operation_is_a_line_with_the_rule(audited: Audited, tmp_path: Path) -> None:
    """The log has about twenty of a session; the audit log has each."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100)
    many = "".join(f"-mkdir /locked/{number}\n" for number in range(60))
    commands = f"-put {large} /locked/a\n-put {large} /small/a\n-rename /locked/a /b\n-get /none\n{many}"
    assert await audited.sftp(commands) == 0
    refused = await audited.until("request.refused", 62)
    told = [(line["request"], line["path"], line["rule"]) for line in refused]
    assert told == [
        ("OPEN", "/locked/a", "missing right: write"),
        ("posix-rename", "/locked/a", "missing right: rename"),
        *(("MKDIR", f"/locked/{number}", "missing right: mkdir") for number in range(60)),
    ]
    assert {(line["user"], line["status"]) for line in refused} == {("alice", "PERMISSION_DENIED")}
    (upload,) = audited.lines("upload.failed")
    assert (upload["path"], upload["rule"]) == ("/small/a", "max_file_bytes: 10")


async def test_who_reads_through_a_handle_for_writing_without_the_right_is_a_line(audited: Audited) -> None:
    def read() -> None:
        with contextlib.closing(paramiko.Transport((audited.server.host, audited.server.port))) as transport:
            client: Any = opened(transport)
            with client.open("/blind/a", "w") as file:
                with pytest.raises(PermissionError):
                    client._request(paramiko.sftp.CMD_READ, file.handle, paramiko.sftp.int64(0), 10)
                assert client.stat("/blind/a").st_size == 0

    await asyncio.to_thread(read)
    (refused,) = await audited.until("request.refused")
    told = (refused["request"], refused["path"], refused["rule"])
    assert told == ("READ", "/blind/a", "missing right: read")


async def test_a_download_that_breaks_off_is_a_line(audited: Audited, tmp_path: Path) -> None:
    """The file is replaced while it is open: its OPEN was answered, and what follows cannot be read."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"o" * (4 << 20))
    new.write_bytes(b"n" * (4 << 20))
    assert await audited.sftp(f"put {old} /a\n") == 0
    opened_file, replaced = threading.Event(), threading.Event()

    def read() -> None:
        with contextlib.closing(paramiko.Transport((audited.server.host, audited.server.port))) as transport:
            with opened(transport).open("/a") as file:
                file.seek(3 << 20)
                opened_file.set()
                assert replaced.wait(60)
                with pytest.raises(OSError, match="changed"):
                    file.read(100)

    reading = asyncio.create_task(asyncio.to_thread(read))
    assert await asyncio.to_thread(opened_file.wait, 60)
    assert await audited.sftp(f"put {new} /a\n") == 0
    replaced.set()
    await reading
    (failed,) = await audited.until("download.failed")
    assert (failed["path"], failed["user"], failed["size"]) == ("/a", "alice", 4 << 20)
    assert failed["error"].startswith("Changed")


async def test_each_change_of_users_is_a_line_with_the_fields_that_differ(audited: Audited) -> None:
    key = public_line(make_key(audited.users.parent, "bobs"))
    for number in range(120):  # the log has a hundred
        audited.write_user(f"u{number}", authorized_keys=[key])
    audited.write_user("bob", authorized_keys=[key], prefix="b/", **{"attributes.api_key": "hush-hush"})
    audited.reload()
    added = {line["user"]: line for line in await audited.until("user.added", 121)}
    assert (added["bob"]["after"]["prefix"], added["bob"]["credentials"]) == ("b/", ["keys"])
    assert added["bob"]["after"]["attributes"] == {"api_key": "(hidden)"}
    for number in range(120):
        audited.write_user(f"u{number}", authorized_keys=[key], read_only=True)
    audited.write_user("bob", authorized_keys=[key], prefix="b/", totp_secret=SECRET)
    audited.reload()
    changed = {line["user"]: line for line in await audited.until("user.changed", 121)}
    assert (changed["u7"]["before"], changed["u7"]["after"]) == ({"read_only": False}, {"read_only": True})
    assert "totp_secret" in changed["bob"]["credentials"]
    (audited.users / "bob.toml").unlink()
    audited.reload()
    assert [line["user"] for line in await audited.until("user.removed")] == ["bob"]
    audited.write_user("broken", rights=["fly"])
    audited.reload()
    (failed,) = await audited.until("config.reload_failed")
    assert "'fly' is neither a preset nor a right" in failed["problem"]
    whole = audited.audit.read_text()
    assert not [word for word in (SECRET, "hush-hush", key.split()[1]) if word in whole]


async def test_the_lines_of_each_process_are_numbered_without_gaps_and_no_secret_is_in_them(
    audited: Audited,
) -> None:
    for _ in range(6):
        with pytest.raises(paramiko.AuthenticationException):
            await asyncio.to_thread(audited.paramiko, "a wrong guess")
        await asyncio.to_thread(audited.paramiko, PASSWORD)
    await audited.until("login.accepted", 6)
    by_process: dict[str, list[int]] = {}
    for line in audited.lines():
        by_process.setdefault(line["process"], []).append(line["number"])
        assert line["time"].endswith("Z")
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_process.values())
    started = audited.lines("audit.started")
    assert {line["process"] for line in started} == set(by_process)
    whole = audited.audit.read_text()
    config = audited.server.config_file.read_text()
    hashed = config.split('password_hash = "')[1].split('"')[0]
    secrets = (PASSWORD, "a wrong guess", hashed, audited.server.store.secret_key)
    assert not [word for word in secrets if word in whole]


async def test_what_a_client_sends_cannot_forge_a_line(audited: Audited) -> None:
    name = 'x\n{"event": "login.accepted", "user": "root"}\x1b[2J\u202e'
    with contextlib.closing(paramiko.Transport((audited.server.host, audited.server.port))) as transport:
        client = await asyncio.to_thread(opened, transport)
        with pytest.raises(PermissionError):
            await asyncio.to_thread(client.mkdir, f"/locked/{name}")
    (refused,) = await audited.until("request.refused")
    assert refused["path"].startswith("/locked/x\\n{")
    assert not [line for line in audited.lines("login.accepted") if line["user"] == "root"]
    assert audited.audit.read_bytes().isascii()
    assert not [char for char in "\x1b\u202e" if char in refused["path"]]


async def test_transfers_go_on_while_the_file_cannot_be_written_and_no_line_is_lost(
    audited: Audited, tmp_path: Path
) -> None:
    """A directory under the file's name stands for a disk that takes nothing."""
    await audited.until("audit.started")
    rotated = audited.audit.rename(tmp_path / "audit.log.1")
    audited.audit.mkdir()
    assert await audited.sftp("ls\n") == 0
    assert await audited.sftp(f"put {rotated} a\nget a {tmp_path}/back\n") == 0
    await audited.server.until(lambda: bool(audited.server.events("audit.failed")), "the failure to be told")
    assert audited.server.events("audit.failed")[0]["error"] == "Is a directory"
    audited.audit.rmdir()
    await audited.server.until(lambda: bool(audited.server.events("audit.recovered")), "recovery to be told")
    wait_until(audited.audit.exists, 30, "the file")
    accepted = await audited.until("login.accepted", 2)
    assert len(accepted) == 2
    assert not audited.lines("audit.lines_lost")


async def test_no_client_waits_for_the_audit_log(audited: Audited) -> None:
    await audited.until("audit.started")
    with audited.audit.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # a disk that does not answer
        assert await audited.sftp("ls\nmkdir d\n") == 0
        assert not audited.lines("login.accepted")
    assert len(await audited.until("login.accepted")) == 1


async def test_a_rotated_file_is_left_and_the_next_line_is_in_a_new_one(
    audited: Audited, tmp_path: Path
) -> None:
    assert await audited.sftp("ls\n") == 0
    await audited.until("login.accepted")
    old = audited.audit.rename(tmp_path / "audit.log.1")
    size = old.stat().st_size
    assert await audited.sftp("ls\n") == 0
    wait_until(audited.audit.exists, 30, "a new file")
    assert len(await audited.until("login.accepted")) == 1
    assert old.stat().st_size == size


async def test_standard_output_takes_it_whole_from_two_workers(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    options: dict[str, dict[str, object]] = {"audit": {"output": "stdout"}, "server": {"workers": 2}}
    options['users.alice.paths."/locked"'] = {"rights": "read-only"}
    out = tmp_path / "out"
    piped = ("sh", "-c", f'"$@" | cat > {out}', "sh")
    server = Server(tmp_path / "server", seaweed, bucket, options, under=piped)
    audited = Audited(server, tmp_path, out)
    long = "/".join(["é" * 100] * 9)  # in a line of JSON more than a pipe takes at once
    try:
        await server.astart()
        await server.until(lambda: bool(server.events("server.started")), "both workers")
        with ExitStack() as stack:
            address = (server.host, server.port)
            connections = [
                stack.enter_context(contextlib.closing(paramiko.Transport(address))) for _ in range(4)
            ]
            clients = [await asyncio.to_thread(opened, each) for each in connections]
            await asyncio.gather(*(asyncio.to_thread(refused_dirs, each, long) for each in clients))
        refused = await audited.until("request.refused", 400)
        assert len(refused) == 400
        assert len({line["worker"] for line in refused}) == 2
        assert all(len(json.dumps(line)) > PIPE_BUF for line in refused)
    finally:
        await asyncio.to_thread(server.close)


def opened(transport: paramiko.Transport) -> paramiko.SFTPClient:
    transport.connect(username="alice", password=PASSWORD)
    client = paramiko.SFTPClient.from_transport(transport)
    assert client is not None
    return client


def refused_dirs(client: paramiko.SFTPClient, name: str) -> None:
    for number in range(100):
        with pytest.raises(PermissionError):
            client.mkdir(f"/locked/{name}/{number}")


async def test_a_login_that_no_source_answered_is_a_line_too(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with running_hook(hangs) as hook:
        options: dict[str, dict[str, object]] = {
            "audit": {"output": str(tmp_path / "audit.log")},
            "hook": {"url": hook.url, "timeout": 1},
        }
        server = Server(tmp_path / "server", seaweed, bucket, options)
        audited = Audited(server, tmp_path, tmp_path / "audit.log")
        try:
            await server.astart()
            assert await audited.sftp("ls\n", user="bob") != 0
            (line,) = await audited.until("login.unanswered")
            assert (line["user"], line["method"]) == ("bob", "publickey")
        finally:
            await asyncio.to_thread(server.close)


def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        environ = {
            "S3SFTP_AUDIT__OUTPUT": str(tmp_path / "missing" / "audit.log"),
            "S3SFTP_LOCAL__ROOT": str(tmp_path),
        }
        environ |= {"S3SFTP_USERS__alice__PASSWORD_HASH": _hash()}
        flags = (
            "--backend",
            "local",
            "--port",
            "0",
            "--state-dir",
            str(tmp_path / "state"),
            "--workers",
            workers,
        )
        done = s3sftp("serve", *flags, **environ)
        assert done.returncode == 2, done.stderr
        assert "audit.output = " in done.stderr
        assert "No such file or directory" in done.stderr


def _hash() -> str:
    return "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHRzYWx0$FT3yI6t3PoBDRf8qRiV6M7yjPdx6o1jOaL5NAhjJ0yY"


def test_the_page_has_every_event_of_the_audit_log_and_no_other() -> None:
    page = (DOCS / "audit.md").read_text("utf-8")
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    events = [name for name in rows if "." in name]
    assert sorted(events) == sorted(FROM_THE_LOG | MADE_FOR_IT | OF_FILES)
