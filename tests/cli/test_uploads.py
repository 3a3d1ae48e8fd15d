"""`s3sftp uploads`: what an operator sees of uploads that lost their line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.support.clients import Clients
from tests.support.commands import Result, run
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server

SIZE = 2 * PART_BYTES + 100


async def _uploads(server: Server, *words: str) -> Result:
    command = [sys.executable, "-m", "s3sftp", "uploads", *words, "--config", str(server.config_file)]
    return await run(command)


@pytest.fixture
async def server(store: Store, bucket: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A server with one upload that has lost its line."""
    server = Server(tmp_path / "server", store, bucket, {"files": {"resume": "1h"}})
    try:
        await server.astart()
        clients = Clients(server, tmp_path / "home")
        async with clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
            file = await sftp.open("/x", "wb")
            await file.write(bytes(SIZE))
            connection._transport.abort()  # type: ignore[union-attr]
        await server.until(lambda: server.count("upload.kept") == 1, "the upload to be kept")
        yield server
    finally:
        await asyncio.to_thread(server.close)


async def test_an_operator_lists_shows_and_aborts_what_is_kept(server: Server, s3: S3) -> None:
    listed = (await _uploads(server, "list")).ok().out.decode().split()
    assert listed[1] == "kept"
    assert listed[3:] == [str(SIZE - 1), "$0.0002", "alice", "alice/x"]
    described = json.loads((await _uploads(server, "list", "--json")).ok().out)
    assert json.loads((await _uploads(server, "show", listed[0])).ok().out)["id"] == described["id"]
    assert (await _uploads(server, "abort", "0000")).status == 1
    (await _uploads(server, "abort", listed[0])).ok()
    assert (await _uploads(server, "list")).ok().out == b""
    assert await s3.multipart_uploads() == []
    assert await s3.keys(".s3sftp/kept/") == []
