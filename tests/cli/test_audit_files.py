"""What the audit log says of files, if it is to say so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.cli.command_process import paramiko_on
from tests.cli.test_audit import Audited
from tests.support.server import Server

FILES = {"upload.committed", "upload.aborted", "download.completed", "request.changed"}


@pytest.mark.parametrize("wanted", [True, False], ids=["with files", "without"])
async def test_each_transfer_and_each_change_is_a_line_if_wanted(
    seaweed: Store, bucket: str, tmp_path: Path, wanted: bool
) -> None:
    (tmp_path / "file").write_text("content")
    audit = tmp_path / "audit.log"
    options: dict[str, dict[str, object]] = {"audit": {"output": str(audit), "files": wanted}}
    server = Server(tmp_path / "server", seaweed, bucket, options)
    audited = Audited(server, tmp_path, audit)
    try:
        await server.astart()
        with paramiko_on(server.port, server.key_file) as client:
            left = client.open("/left", "wb")
        commands = f"put {tmp_path}/file /a\nget /a {tmp_path}/back\nrename /a /b\nmkdir /d\nrm /b\n"
        assert await audited.sftp(commands) == 0
        server.terminate()
        assert await server.ended() == 0
        del left  # whose destructor would close it
    finally:
        await asyncio.to_thread(server.close)
    if not wanted:
        assert not audited.lines(*FILES)
        return
    changes = [
        (line["request"], line["path"], line.get("target")) for line in audited.lines("request.changed")
    ]
    assert changes == [
        ("posix-rename", "/a", "/b"),
        ("MKDIR", "/d", None),
        ("REMOVE", "/b", None),
    ]
    (stored,) = audited.lines("upload.committed")
    assert (stored["user"], stored["path"], stored["bytes"]) == ("alice", "/a", 7)
    assert (stored["bucket"], stored["key"]) == (bucket, "alice/a")
    (read,) = audited.lines("download.completed")
    assert (read["path"], read["bytes"]) == ("/a", 7)
    assert [line["path"] for line in audited.lines("upload.aborted")] == ["/left"]
