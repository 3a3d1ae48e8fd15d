"""Every size at which something changes, with each client; and one file of a gibibyte both ways."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.support.client_workspace import ClientWorkspace, content, digest_of
from tests.support.commands import installed
from tests.support.server import PART_BYTES

SIZES = (0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 1)


@pytest.mark.parametrize("client", ["sftp", "scp", "lftp", "rclone", "paramiko", "psftp"])
async def test_files_of_every_size_survive_both_ways(desk: ClientWorkspace, client: str) -> None:
    names = [f"f{size}" for size in SIZES]
    for name, size in zip(names, SIZES, strict=True):
        desk.file(f"up/{name}", size, size)
    (desk.local / "down").mkdir()
    await _both_ways(desk, client, names)
    for name, size in zip(names, SIZES, strict=True):
        assert await desk.body(name) == content(size, size), name
        assert digest_of(desk.local / "down" / name) == digest_of(desk.local / "up" / name), name
    assert await desk.uploads() == []


async def _both_ways(desk: ClientWorkspace, client: str, names: list[str]) -> None:
    clients, at, up, down = desk.clients, desk.remote, f"{desk.local}/up", f"{desk.local}/down"
    match client:
        case "sftp" | "psftp":
            lines = [f"cd {at}", f"lcd {up}", *(f"put {name}" for name in names)]
            lines += [f"lcd {down}", *(f"get {name}" for name in names)]
            result = await (clients.sftp(*lines) if client == "sftp" else clients.psftp(*lines))
            result.ok()
        case "scp":
            (await clients.scp(*(f"{up}/{name}" for name in names), clients.remote(f"{at}/"))).ok()
            (await clients.scp(*(clients.remote(f"{at}/{name}") for name in names), f"{down}/")).ok()
        case "lftp":
            (await clients.lftp(f"mirror -R {up} {at}", f"mirror {at} {down}")).ok()
        case "rclone":
            program = installed("rclone")
            (await clients.rclone("copy", up, f"alice:{at}", program=program)).ok()
            (await clients.rclone("copy", f"alice:{at}", down, program=program)).ok()
        case "paramiko":
            await asyncio.to_thread(_paramiko_both_ways, desk, names)


def _paramiko_both_ways(desk: ClientWorkspace, names: list[str]) -> None:
    with desk.clients.paramiko() as sftp:
        for name in names:
            sftp.put(str(desk.local / "up" / name), f"{desk.remote}/{name}")
            sftp.get(f"{desk.remote}/{name}", str(desk.local / "down" / name))


@pytest.mark.timeout(400)  # a minute on two cores that have nothing else to do
@pytest.mark.parametrize("server", ["seaweed"], indirect=True)
async def test_a_gibibyte_both_ways(desk: ClientWorkspace) -> None:
    big = desk.local / "big"
    await asyncio.to_thread(_write_pattern, big, 1 << 30)
    expected = await asyncio.to_thread(digest_of, big)
    (await desk.clients.sftp(f"put {big} {desk.remote}/big", timeout=150)).ok()
    assert (await desk.s3.head(f"{desk.key_prefix}big"))["ContentLength"] == 1 << 30
    assert await _digest_in_s3(desk, "big") == expected
    big.unlink()
    (await desk.clients.sftp(f"get {desk.remote}/big {big}", timeout=150)).ok()
    assert await asyncio.to_thread(digest_of, big) == expected
    big.unlink()
    await desk.s3.delete(f"{desk.key_prefix}big")


def _write_pattern(file: Path, size: int) -> None:
    # Every block differs, so that none can take the place of another.
    block = content(1 << 20)
    with file.open("wb") as out:
        for number in range(size >> 20):
            out.write(number.to_bytes(8, "big") + block[8:])


async def _digest_in_s3(desk: ClientWorkspace, name: str) -> str:
    answer = await desk.s3.client.get_object(Bucket=desk.s3.bucket, Key=desk.key_prefix + name)
    digest = hashlib.sha256()
    async with answer["Body"] as stream:
        while piece := await stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
