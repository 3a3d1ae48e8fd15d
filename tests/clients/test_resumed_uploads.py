"""Real clients lose their line in the middle of an upload, and go on where it was cut (`files.resume`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.clients.cuts.cutter import start_upload
from tests.clients.cuts.scene import Scene, cut_scene
from tests.support.client_workspace import content
from tests.support.commands import installed
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES

SIZE = 40_000_000
HALF = SIZE // 2
WHOLE = content(SIZE)
OPTIONS = {"files": {"resume": "1h"}, "s3": {"part_bytes": PART_BYTES}}


@pytest.fixture
async def scene(store: Store, bucket: str, s3: S3, tmp_path: Path) -> AsyncIterator[Scene]:
    async with cut_scene(store, bucket, s3, tmp_path, OPTIONS) as opened:
        yield opened


async def _put(scene: Scene, client: str, *, again: bool = False) -> None:
    """Upload the file, or go on with it. Fails if the client does."""
    desk, clients = scene.desk, scene.desk.clients
    file = desk.local / "x"
    if not file.exists():
        file.write_bytes(WHOLE)
    match client:
        case "psftp":
            (await clients.psftp(f"{'reput' if again else 'put'} {file} {desk.remote}/x", timeout=120)).ok()
        case "rclone":
            words = ("copyto", str(file), f"alice:{desk.remote}/x", "--inplace", "--retries", "1")
            (await clients.rclone(*words, program=installed("rclone"), timeout=120)).ok()
        case _:
            async with await start_upload(scene, client, file, again=again) as running:
                (await running.result(120)).ok()


async def _cut(
    scene: Scene, client: str, at: int, then: Callable[[], Awaitable[object]] | None = None
) -> None:
    """An upload whose line is cut when so many bytes have been sent."""
    scene.line.cut_at(at, then)
    with pytest.raises(Exception):  # noqa: B017,PT011  each client says it in its own way
        await _put(scene, client)


async def _is_whole(scene: Scene) -> None:
    assert await scene.desk.body("x") == WHOLE
    await scene.nothing_hidden_is_left()


@pytest.mark.parametrize("client", ["openssh", "lftp", "paramiko", "psftp"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same server", "another replica"])
async def test_a_client_goes_on_after_a_reset(scene: Scene, client: str, elsewhere: bool) -> None:
    one, other = scene.servers
    await _cut(scene, client, HALF)
    await one.until(lambda: one.count("upload.kept") == 1, "the upload to be kept")
    await scene.nothing_is_published()
    if elsewhere:
        scene.lead_to(other)
    size = await scene.size()
    assert size is not None
    assert size > HALF - 8 * PART_BYTES
    scene.line.cut_at(None)
    await _put(scene, client, again=True)
    assert scene.line.sent < (SIZE - size) * 1.05 + 200_000, "what is stored is not sent again"
    await _is_whole(scene)


@pytest.mark.parametrize("client", ["openssh", "lftp", "paramiko"])
async def test_a_client_goes_on_after_the_server_was_killed(scene: Scene, client: str) -> None:
    one, other = scene.servers

    async def kill() -> None:
        await scene.parts_are_stored(2)
        one.kill()

    await _cut(scene, client, HALF, kill)
    await scene.nothing_is_published()
    scene.lead_to(other)
    size = await scene.size()
    assert size is not None
    assert size >= 2 * PART_BYTES
    assert size % PART_BYTES == 0, "parts, and no tail"
    scene.line.cut_at(None)
    await _put(scene, client, again=True)
    assert scene.line.sent < (SIZE - size) * 1.05 + 200_000, "what is stored is not sent again"
    await _is_whole(scene)


async def test_a_client_goes_on_after_the_server_was_stopped(scene: Scene) -> None:
    one, other = scene.servers

    async def stop() -> None:
        one.terminate()

    await _cut(scene, "openssh", HALF, stop)
    await one.ended()
    await scene.nothing_is_published()
    scene.lead_to(other)
    assert await scene.size() is not None
    scene.line.cut_at(None)
    await _put(scene, "openssh", again=True)
    await _is_whole(scene)


async def test_a_small_file_is_kept_too(scene: Scene) -> None:
    async with scene.desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open(f"{scene.desk.remote}/x", "wb")
        await file.write(b"0123456789")
        connection._transport.abort()  # type: ignore[union-attr]
    await scene.servers[0].until(lambda: scene.servers[0].count("upload.kept") == 1, "the upload to be kept")
    scene.lead_to(scene.servers[1])
    assert await scene.size() == 9, "one byte less, so that no client takes it for whole"
    async with scene.desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        async with sftp.open(f"{scene.desk.remote}/x", "r+b") as file:
            await file.write(b"9, and more", 9)
    assert await scene.desk.body("x") == b"0123456789, and more"


@pytest.mark.parametrize("client", ["openssh", "paramiko", "rclone"])
async def test_a_client_that_begins_anew_gets_a_whole_file(scene: Scene, client: str) -> None:
    one, _ = scene.servers
    await _cut(scene, client, HALF)
    await one.until(lambda: one.count("upload.kept") == 1, "the upload to be kept")
    scene.line.cut_at(None)
    await _put(scene, client)
    await _is_whole(scene)


async def test_scp_begins_anew_without_truncation(scene: Scene) -> None:
    one, _ = scene.servers
    await _cut(scene, "openssh", HALF)
    await one.until(lambda: one.count("upload.kept") == 1, "the upload to be kept")
    scene.line.cut_at(None)
    target = scene.desk.clients.remote(f"{scene.desk.remote}/x")
    (await scene.desk.clients.scp(str(scene.desk.local / "x"), target)).ok()
    await _is_whole(scene)


async def test_a_removed_name_has_no_parts(scene: Scene) -> None:
    one, _ = scene.servers
    await _cut(scene, "openssh", HALF)
    await one.until(lambda: one.count("upload.kept") == 1, "the upload to be kept")
    scene.line.cut_at(None)
    (await scene.desk.clients.sftp(f"rm {scene.desk.remote}/x")).ok()
    assert await scene.size() is None
    assert await scene.desk.uploads() == []
