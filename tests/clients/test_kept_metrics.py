"""What the metrics say of uploads that lost their line, while real clients lose it and go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.admin.admin_client import until
from tests.clients.cuts.cutter import start_upload
from tests.clients.cuts.scene import Scene, cut_scene
from tests.support.client_workspace import content
from tests.support.commands import run
from tests.support.parsed_metrics import Numbers
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server

SIZE = 4 * PART_BYTES
OPTIONS = {
    "files": {"resume": "1h"},
    "s3": {"part_bytes": PART_BYTES, "janitor_interval": "1s"},
    "server": {"workers": 2},
    "admin": {"port": 0},
}


@pytest.fixture
async def scene(store: Store, bucket: str, s3: S3, tmp_path: Path) -> AsyncIterator[Scene]:
    async with cut_scene(store, bucket, s3, tmp_path, OPTIONS) as opened:
        yield opened


async def _put(scene: Scene, *, again: bool = False) -> int:
    """Upload a file with OpenSSH, or go on with it; return the client's exit status."""
    file = scene.desk.local / "x"
    if not file.exists():
        file.write_bytes(content(SIZE))
    async with await start_upload(scene, "openssh", file, again=again) as running:
        return (await running.result(120)).status


async def _lose(scene: Scene) -> int:
    """An upload whose line is cut in the middle. Returns the size that is kept."""
    kept = scene.servers[0].count("upload.kept")
    scene.line.cut_at(SIZE // 2)
    assert await _put(scene) != 0
    await scene.servers[0].until(lambda: scene.servers[0].count("upload.kept") > kept, "it to be kept")
    size = await scene.size()
    assert size is not None
    return size


async def _shows(server: Server, uploads: int, size: int) -> None:
    """Wait until the metrics of a server say so."""

    def said(body: bytes) -> tuple[float, float]:
        numbers = Numbers(body)
        return numbers("kept_uploads", storage="_s3"), numbers("kept_upload_bytes", storage="_s3")

    await until(server, "/metrics", lambda answer: said(answer.body) == (uploads, size))


async def test_the_gauges_rise_when_a_client_is_cut_and_fall_when_it_has_gone_on_or_removed_the_name(
    scene: Scene,
) -> None:
    one = scene.servers[0]
    size = await _lose(scene)
    await _shows(one, 1, size)
    assert await _put(scene, again=True) == 0
    await _shows(one, 0, 0)
    await scene.desk.s3.delete(f"{scene.desk.key_prefix}x")
    await _shows(one, 1, await _lose(scene))
    async with scene.desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        await sftp.remove(f"{scene.desk.remote}/x")
    await _shows(one, 0, 0)
    await scene.nothing_hidden_is_left()


async def test_each_replica_shows_what_the_bucket_keeps_and_what_an_operator_has_aborted(
    scene: Scene,
) -> None:
    size = await _lose(scene)
    await asyncio.gather(*(_shows(server, 1, size) for server in scene.servers))
    command = [sys.executable, "-m", "s3sftp", "uploads"]
    config = ("--config", str(scene.servers[1].config_file))
    listed = (await run([*command, "list", *config])).ok().out.decode().split()
    assert listed[3] == str(size)
    (await run([*command, "abort", listed[0], *config])).ok()
    await asyncio.gather(*(_shows(server, 0, 0) for server in scene.servers))
