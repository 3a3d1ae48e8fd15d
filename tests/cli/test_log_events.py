"""What a server writes is what docs/events.md says: each line's event, level and fields."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.cli.command_process import serving_from_memory
from tests.docs.log_events import log_events

_OF_EVERY_LINE = {"event", "level", "logger", "timestamp", "worker"}


async def _use(port: int, key: Path) -> None:
    """Succeed and fail at what a client does every day."""
    options: dict[str, Any] = {"username": "alice", "known_hosts": None, "config": None}
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            "127.0.0.1", port, **options, client_keys=[asyncssh.generate_private_key("ssh-ed25519")]
        )
    connection = await asyncssh.connect("127.0.0.1", port, **options, client_keys=[str(key)])
    async with connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/file", "wb") as file:
            await file.write(b"content")
        async with sftp.open("/file", "rb") as file:
            assert await file.read() == b"content"
        await sftp.mkdir("/directory")
        await sftp.rename("/file", "/directory/file")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("/missing", "rb")
        await sftp.open("/unfinished", "wb")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", port)


async def test_every_line_of_a_server_has_an_event_of_the_page(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path, "--log-level", "debug", S3SFTP_ADMIN__PORT="0") as server:
        await _use(server.port, tmp_path / "key")
        await asyncio.to_thread(server.wait_event, "session.ended")
        server.process.send(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        lines = [json.loads(line) for line in server.process.output().splitlines()]
    lines = [line for line in lines if line["logger"].startswith("s3sftp")]
    names = {line["event"] for line in lines}
    assert names >= {
        "server.listening",
        "login.failed",
        "login.accepted",
        "upload.committed",
        "server.stopped",
    }
    assert names >= {"upload.aborted", "download.completed", "request.completed", "request.refused"}
    strange = [line for line in lines if line["event"] not in log_events()]
    assert strange == []
    for line in lines:
        event = log_events()[line["event"]]
        assert line["level"] in event.levels, line
        assert line.keys() - _OF_EVERY_LINE <= event.fields, line
