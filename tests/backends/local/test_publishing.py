"""A file gets its name when it is whole, from whichever process, and nothing is left of one that does not."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends import CompleteBackend, Place, WriteIntent
from s3sftp.backends.contract import Finish
from s3sftp.backends.local import uploads
from s3sftp.errors import AlreadyExists, NotEmpty, NotFound, PermissionDenied, StorageFailure
from tests.backends.local import writer_process
from tests.backends.local.containment_tree import ALICE, lacks, place, serving
from tests.backends.storages import unfinished_in

WAYS = pytest.mark.parametrize("way", ["openat2", "walk", "named"])
LEFT = b".s3sftp-%s.part" % (b"0" * 32)
"""A name that an upload which was killed may have left."""


async def names(backend: CompleteBackend, path: str = "") -> list[bytes]:
    return sorted([entry.name async for page in backend.list_dir(place(path), ALICE) for entry in page])


@asynccontextmanager
async def another(
    root: Path, way: str, what: str, who: str = ""
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`writer_process.py` in a process of its own, when it has said its first line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", writer_process.__name__, str(root), way, what, who),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while await process.stdout.readline() not in (b"ready\n", b"writing\n"):
                assert process.returncode is None
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@WAYS
async def test_of_a_process_that_is_killed_in_mid_upload_nothing_is_seen(way: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    async with another(tmp_path, way, "hang") as process:
        process.kill()
        await process.wait()
        async with serving(tmp_path, way) as backend:
            assert await names(backend) == [b"old"]
            assert await backend.read_file(place("old"), ALICE) == b"old"
    assert os.listdir(tmp_path) == ["old"]


async def test_what_was_left_is_removed_at_the_start_where_uploads_have_names(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "deep/er"):
        (directory / os.fsdecode(LEFT)).write_bytes(b"half")
    async with serving(tmp_path, "named"):
        async with asyncio.timeout(10):
            while unfinished_in(tmp_path):
                await asyncio.sleep(0.01)


async def test_what_was_left_is_removed_when_its_directory_is_listed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / os.fsdecode(LEFT)).write_bytes(b"half")
    async with serving(tmp_path) as backend:
        assert await names(backend, "d") == []
    assert os.listdir(tmp_path / "d") == []


async def test_what_was_left_does_not_keep_a_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / os.fsdecode(LEFT)).write_bytes(b"half")
    async with serving(tmp_path) as backend:
        await backend.del_dir(place("d"), ALICE)
    assert os.listdir(tmp_path) == []


async def test_an_upload_of_another_process_is_hidden_and_left_alone(tmp_path: Path) -> None:
    async with another(tmp_path, "named", "hang"):
        before = unfinished_in(tmp_path)
        assert len(before) == 3
        async with serving(tmp_path, "named") as backend:
            assert await names(backend) == []
            await asyncio.sleep(0.2)  # and for the sweep
            assert unfinished_in(tmp_path) == before


async def test_a_directory_in_which_an_upload_is_under_way_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    async with serving(tmp_path, "named") as backend:
        upload = await backend.begin_write(place("d/file"), WriteIntent(), ALICE)
        with pytest.raises(NotEmpty):
            await backend.del_dir(place("d"), ALICE)
        await backend.finish_write(upload, b"whole", Finish(5), ALICE)
    assert (tmp_path / "d/file").read_bytes() == b"whole"


async def test_names_of_unfinished_uploads_are_nobodys(tmp_path: Path) -> None:
    reserved = Place((LEFT,))
    (tmp_path / os.fsdecode(LEFT)).write_bytes(b"half")
    (tmp_path / "file").write_bytes(b"file")
    async with serving(tmp_path) as backend:
        with open(tmp_path / os.fsdecode(LEFT)) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for work in (
                backend.file_info(reserved, ALICE),
                backend.read_file(reserved, ALICE),
                backend.delete(reserved, ALICE),
                backend.write_file(reserved, b"", ALICE),
                backend.make_dir(reserved.child(b"d"), ALICE),
                backend.make_dir(reserved, ALICE),
                backend.rename(reserved, place("new"), ALICE, overwrite=True),
                backend.rename(place("file"), reserved, ALICE, overwrite=True),
            ):
                with pytest.raises(PermissionDenied, match="reserved"):
                    await work
    assert (tmp_path / os.fsdecode(LEFT)).read_bytes() == b"half"


async def test_no_call_begins_with_the_directory_of_such_a_name(tmp_path: Path) -> None:
    async with serving(tmp_path) as backend:
        with pytest.raises(PermissionDenied, match="reserved"), backend._tree.parent(Place((LEFT,))):
            pass


@WAYS
async def test_of_exclusive_writers_in_several_processes_one_wins_each_name(way: str, tmp_path: Path) -> None:
    async def wins(who: str) -> list[int]:
        async with another(tmp_path, way, "race", who) as process:
            everybody.release()
            await start.wait()
            out, _ = await process.communicate(b"go\n")
            assert process.returncode == 0
            return [int(line) for line in out.split()]

    everybody, start = asyncio.Semaphore(0), asyncio.Event()
    racing = [asyncio.ensure_future(wins(who)) for who in "1234"]
    for _ in racing:
        await everybody.acquire()
    start.set()
    won = await asyncio.gather(*racing)
    assert sorted(chain(*won)) == list(range(writer_process.NAMES))
    for who, numbers in zip("1234", won, strict=True):
        assert {(tmp_path / str(number)).read_text() for number in numbers} <= {who}
    assert unfinished_in(tmp_path) == []


@WAYS
async def test_renames_that_do_not_overwrite_race_for_a_name_and_one_wins(way: str, tmp_path: Path) -> None:
    async with serving(tmp_path, way) as one, serving(tmp_path, way) as other:
        for number in range(50):
            for name in ("a", "b"):
                await one.write_file(place(name), name.encode(), ALICE)
            outcomes = await asyncio.gather(
                one.rename(place("a"), place(f"to-{number}"), ALICE, overwrite=False),
                other.rename(place("b"), place(f"to-{number}"), ALICE, overwrite=False),
                return_exceptions=True,
            )
            assert sorted(type(outcome) for outcome in outcomes if outcome) == [AlreadyExists]
            [loser] = {"a", "b"} & set(os.listdir(tmp_path))
            assert (tmp_path / f"to-{number}").read_text() + loser in ("ab", "ba")


@WAYS
async def test_a_directory_that_vanishes_under_an_upload_comes_back_with_it(way: str, tmp_path: Path) -> None:
    async with serving(tmp_path, way) as backend:
        upload = await backend.begin_write(place("d/e/file"), WriteIntent(), ALICE)
        await backend.make_dir(place("d"), ALICE)
        await backend.del_dir(place("d"), ALICE)
        await backend.finish_write(upload, b"whole", Finish(5), ALICE)
    assert (tmp_path / "d/e/file").read_bytes() == b"whole"


@WAYS
async def test_a_directory_that_vanishes_just_before_the_file_gets_its_name_is_made_again(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once_without_directory(call: Callable[..., None]) -> Callable[..., None]:
        def first(*words: Any, **more: Any) -> None:
            monkeypatch.undo()
            (tmp_path / "d").rmdir()
            call(*words, **more)

        return first

    async with serving(tmp_path, way) as backend:
        monkeypatch.setattr(os, "link", once_without_directory(os.link))
        monkeypatch.setattr(os, "rename", once_without_directory(os.rename))
        await backend.write_file(place("d/file"), b"whole", ALICE)
    assert (tmp_path / "d/file").read_bytes() == b"whole"


@WAYS
async def test_directories_made_for_a_file_that_fails_go_again(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, way) as backend:
        upload = await backend.begin_write(place("d/e/file"), WriteIntent(), ALICE)
        monkeypatch.setattr(os, "link", lacks(5))
        monkeypatch.setattr(os, "rename", lacks(5))
        with pytest.raises(StorageFailure):
            await backend.finish_write(upload, b"whole", Finish(5), ALICE)
        await backend.abort_write(upload, ALICE)
    assert os.listdir(tmp_path) == []


async def test_a_failed_replacement_leaves_no_private_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    async with serving(tmp_path) as backend:
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", lacks(5))
            with pytest.raises(StorageFailure):
                await backend.write_file(place("file"), b"new", ALICE)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("fsync", [True, False])
async def test_success_is_said_of_what_is_on_disk_unless_told_otherwise(
    fsync: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    async with serving(tmp_path, fsync=fsync) as backend:
        await backend.write_file(place("d/file"), b"whole", ALICE)
        written = {file.stat().st_ino for file in (tmp_path, tmp_path / "d", tmp_path / "d/file")}
        assert set(synced) == (written if fsync else set())
        for change in (
            backend.rename(place("d/file"), place("d/new"), ALICE, overwrite=False),
            backend.delete(place("d/new"), ALICE),
        ):
            synced.clear()
            await change
            assert set(synced) == ({(tmp_path / "d").stat().st_ino} if fsync else set())


@WAYS
async def test_permissions_are_the_options_or_those_of_the_umask(way: str, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        async with serving(tmp_path, way) as backend:
            await backend.write_file(place("d/file"), b"", ALICE)
        async with serving(tmp_path, way, file_mode="0606", dir_mode=0o777) as backend:
            await backend.write_file(place("e/file"), b"", ALICE)
            info = await backend.file_info(place("e/file"), ALICE)
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o7777 for name in ("d", "d/file", "e", "e/file")]
    assert modes == [0o750, 0o640, 0o777, 0o606]
    assert info.mode == 0o606


async def test_hard_links_are_broken_by_replacing_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    os.link(tmp_path / "file", tmp_path / "other")
    async with serving(tmp_path) as backend:
        await backend.write_file(place("file"), b"new", ALICE)
        with pytest.raises(NotFound):
            await backend.file_info(place("none"), ALICE)
    assert (tmp_path / "other").read_bytes() == b"old"


async def test_an_upload_that_a_sweeper_met_in_its_first_moment_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, held = uploads.lock_file, 0

    def after_a_sweeper(file: int) -> None:
        nonlocal held
        held += 1
        if held == 1:
            for path in unfinished_in(tmp_path):
                Path(path).unlink(missing_ok=True)  # the backend's own sweeper may be there first
        hold(file)

    async with serving(tmp_path, "named") as backend:
        monkeypatch.setattr(uploads, "lock_file", after_a_sweeper)
        await backend.write_file(place("file"), b"whole", ALICE)
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert held > 1
    assert os.listdir(tmp_path) == ["file"]
