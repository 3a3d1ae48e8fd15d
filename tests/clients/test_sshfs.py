"""sshfs: programs that know nothing of SFTP work on a mounted directory."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import installed, run
from tests.support.server import PART_BYTES


@pytest.fixture
async def mounted(desk: ClientWorkspace, tmp_path: Path) -> AsyncIterator[Path]:
    """`desk.remote`, mounted."""
    async with desk.clients.sshfs(desk.remote, tmp_path / "mount") as mountpoint:
        yield mountpoint


async def test_cp_there_and_back(desk: ClientWorkspace, mounted: Path) -> None:
    file = desk.file("x", 6_000_000)
    await asyncio.to_thread(shutil.copyfile, file, mounted / "x")
    await asyncio.to_thread(shutil.copyfile, mounted / "x", desk.local / "back")
    assert (desk.local / "back").read_bytes() == content(6_000_000)
    await _becomes(desk, "x", content(6_000_000))


async def test_truncate(desk: ClientWorkspace, mounted: Path) -> None:
    for size, left in ((10_000, 10), (6_000_000, 5_500_000), (10, 0)):
        await desk.put(f"x{size}", content(size))
        await asyncio.to_thread(os.truncate, mounted / f"x{size}", left)
        await _becomes(desk, f"x{size}", content(size)[:left])


async def test_rename_right_after_close_as_editors_do(desk: ClientWorkspace, mounted: Path) -> None:
    def save() -> None:
        for text in ("first", "second"):
            (mounted / "x.tmp").write_text(text)
            os.replace(mounted / "x.tmp", mounted / "x")
            assert (mounted / "x").read_text() == text

    await asyncio.to_thread(save)
    await _becomes(desk, "x", b"second")
    assert await desk.keys() == ["x"]


async def test_a_file_that_was_written_is_in_the_next_listing(desk: ClientWorkspace, mounted: Path) -> None:
    def work() -> int:
        seen = 0
        for number in range(100):
            (mounted / f"x{number}").write_bytes(b"x")
            seen += f"x{number}" in os.listdir(mounted)
        return seen

    assert await asyncio.to_thread(work) == 100


async def test_an_open_file_is_renamed_and_removed_as_on_a_disk(desk: ClientWorkspace, mounted: Path) -> None:
    size = 2 * PART_BYTES

    def work() -> None:
        for body, name in ((b"small", "small"), (bytes(size), "large")):
            with (mounted / "tmp").open("wb") as file:
                file.write(body)
                file.flush()
                os.rename(mounted / "tmp", mounted / name)
                file.write(b"more")
        with (mounted / "gone").open("wb") as file:
            file.write(b"never seen")
            file.flush()
            os.unlink(mounted / "gone")
        assert not (mounted / "gone").exists()

    await asyncio.to_thread(work)
    await _becomes(desk, "small", b"smallmore")
    await _becomes(desk, "large", bytes(size) + b"more")
    async with asyncio.timeout(30):
        while sorted(await desk.keys()) != ["large", "small"]:
            await asyncio.sleep(0.05)


async def test_a_directory_is_renamed_while_a_file_in_it_is_written(
    desk: ClientWorkspace, mounted: Path
) -> None:
    def work() -> None:
        (mounted / "d").mkdir()
        with (mounted / "d/x").open("wb") as file:
            file.write(b"before, ")
            file.flush()
            os.rename(mounted / "d", mounted / "e")
            file.write(b"after")

    await asyncio.to_thread(work)
    await _becomes(desk, "e/x", b"before, after")
    assert await desk.keys() == ["e/", "e/x"]


async def test_sed_saves_by_renaming(desk: ClientWorkspace, mounted: Path) -> None:
    await desk.put("x", b"one\n")
    (await run([installed("sed"), "-i", "s/one/two/", str(mounted / "x")])).ok()
    await _becomes(desk, "x", b"two\n")
    assert await desk.keys() == ["x"]


async def test_directories_listing_and_removal(desk: ClientWorkspace, mounted: Path) -> None:
    def work() -> None:
        (mounted / "d").mkdir()
        (mounted / "d/x").write_bytes(b"x")
        assert sorted(os.listdir(mounted)) == ["d"]
        assert (mounted / "d/x").stat().st_size == 1
        with pytest.raises(OSError, match="/d"):
            (mounted / "d").rmdir()
        (mounted / "d").rename(mounted / "e")
        assert (mounted / "e/x").read_bytes() == b"x"
        shutil.rmtree(mounted / "e")
        assert os.listdir(mounted) == []

    await asyncio.to_thread(work)
    assert await desk.keys() == []


async def test_appending_in_the_shell(desk: ClientWorkspace, mounted: Path) -> None:
    def work() -> None:
        for line in ("one\n", "two\n"):
            with (mounted / "log").open("a") as log:
                log.write(line)

    await asyncio.to_thread(work)
    await _becomes(desk, "log", b"one\ntwo\n")


async def _becomes(desk: ClientWorkspace, name: str, body: bytes) -> None:
    """The kernel tells sshfs of a file's last close after close(2) has returned."""
    async with asyncio.timeout(30):
        while not await desk.s3.exists(desk.key_prefix + name) or await desk.body(name) != body:
            await asyncio.sleep(0.05)
