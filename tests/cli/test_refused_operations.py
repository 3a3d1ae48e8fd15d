"""What an operator reads at level info when a partner says "I cannot upload": who, what, where, and why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from s3sftp import errors
from s3sftp.sftp.request_log import failure_log_level
from s3sftp.telemetry.log_throttle import BurstAllowance
from testbed.packets import CREAT, EXTENDED, MKDIR, READLINK, SYMLINK, R, Refused, W, string
from testbed.raw_client import RawSftpClient, wire
from tests.cli.command_process import Running, serving_from_memory

TOLD = ("request.refused", "request.failed", "request.refusals_suppressed")
READ_ONLY = {"S3SFTP_USERS__alice__READ_ONLY": "true"}


@asynccontextmanager
async def client_of(server: Running, key: Path) -> AsyncIterator[RawSftpClient]:
    connection = await asyncssh.connect(
        "127.0.0.1", server.port, username="alice", known_hosts=None, config=None, client_keys=[str(key)]
    )
    async with connection, wire(connection) as client:
        yield client


async def until(server: Running, event: str) -> None:
    await asyncio.to_thread(server.wait_event, event)


async def test_a_refused_operation_is_one_line_with_user_path_and_reason(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path, **READ_ONLY) as server:
        async with client_of(server, tmp_path / "key") as client:
            with pytest.raises(Refused):
                await client.open(b"/in/a\n\x1b[2Jb", W | CREAT)
            with pytest.raises(Refused):
                await client.rename(b"/in/x", b"/in/y")
            with pytest.raises(Refused):
                await client.open(b"/missing", R)
            with pytest.raises(Refused):
                await client.open(b"/" + b"x" * 5000, R)
        await until(server, "session.ended")
        told = [event for name in TOLD for event in server.events(name)]
        assert [(line["request"], line["status"]) for line in told] == [
            ("OPEN", "PERMISSION_DENIED"),
            ("RENAME", "PERMISSION_DENIED"),
            ("OPEN", "NO_SUCH_FILE"),
            ("OPEN", "FAILURE"),
        ]
        assert {(line["user"], line["level"]) for line in told} == {("alice", "info")}
        assert told[0]["path"] == "/in/a\\n\\x1b[2Jb"
        assert told[0]["reason"] == "read-only: you may not change files here"
        assert (told[1]["path"], told[1]["target"]) == ("/in/x", "/in/y")
        assert told[3]["reason"].startswith("path too long")
        assert len(told[3]["path"]) <= 1001
        whole = server.process.output()
        assert all(whole.count(f'"path": "{path}"') == 1 for path in ("/in/x", "/missing"))


async def test_what_clients_ask_by_habit_leaves_no_line(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path) as server:
        async with client_of(server, tmp_path / "key") as client:
            await client.mkdir(b"/d")
            with pytest.raises(Refused):
                await client.stat(b"/missing")
            with pytest.raises(Refused):
                await client.opendir(b"/missing")
            with pytest.raises(Refused):
                await client.mkdir(b"/d")
            await client.request(EXTENDED, string(b"posix-magic@example.com"))
            await client.request(READLINK, string(b"/d"))
            await client.request(SYMLINK, string(b"/a") + string(b"/b"))
        await until(server, "session.ended")
        told = [event["request"] for name in TOLD for event in server.events(name)]
        assert told == ["SYMLINK"]


async def test_a_session_that_is_refused_thousands_leaves_few_lines_and_their_number(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path, **READ_ONLY) as server:
        async with client_of(server, tmp_path / "key") as client:
            asked = [client.request(MKDIR, string(b"/%d" % n) + b"\0\0\0\0") for n in range(1000)]
            await asyncio.gather(*asked)
        await until(server, "session.ended")
        told = server.events("request.refused")
        assert 20 <= len(told) <= 25
        suppressed = sum(
            line.get("suppressed", 0) for line in (*told, *server.events("request.refusals_suppressed"))
        )
        assert len(told) + suppressed == 1000


def test_failures_of_the_storage_are_warnings_and_those_of_files_are_left_to_their_transfer() -> None:
    assert failure_log_level("OPEN", errors.StorageFailure(), changes=False) == logging.WARNING
    assert failure_log_level("STAT", errors.TimedOut(), changes=False) == logging.WARNING
    assert failure_log_level("CLOSE", errors.StorageFailure(), changes=False) == logging.DEBUG
    assert failure_log_level("OPEN", errors.PermissionDenied(), changes=False) == logging.INFO
    assert failure_log_level("STAT", errors.PermissionDenied(), changes=False) == logging.INFO
    assert failure_log_level("RENAME", errors.NotFound(), changes=True) == logging.INFO


def test_so_many_are_told_at_once_and_then_one_in_each_interval() -> None:
    allowance = BurstAllowance(2, 10.0)
    assert [allowance.allow(now) for now in (0, 0, 1, 5, 12, 13, 60, 60, 60)] == [
        *(0, 0, None, None, 2, None, 1, 0, None)
    ]
    assert allowance.suppressed == 1
