"""A reader gets one version of a file, also when somebody writes into it in place."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from s3sftp.backends import WriteIntent
from s3sftp.backends.contract import Finish
from s3sftp.errors import Changed, PermissionDenied
from tests.backends.local.containment_tree import ALICE, place, serving

SIZE = 3 << 20


def _overwrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(SIZE - 1)
        stream.write(b"x")


def _overwrite_and_restore_the_time(file: Path) -> None:
    before = file.stat()
    _overwrite(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _append(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"x")


CHANGES: dict[str, Callable[[Path], None]] = {
    "overwritten in place": _overwrite,
    "overwritten, its time restored": _overwrite_and_restore_the_time,
    "appended to": _append,
    "cut": lambda file: os.truncate(file, SIZE // 2),
}
EACH = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


@EACH
async def test_a_file_that_is_written_to_while_it_is_read_is_an_error(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(SIZE))
    async with serving(tmp_path) as backend:
        version = (await backend.file_info(place("file"), ALICE)).version
        read = 0
        with pytest.raises(Changed):
            async with aclosing(backend.read_file_range(place("file"), 0, SIZE, version, ALICE)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    assert piece == bytes(len(piece))
                    if not read:
                        change(tmp_path / "file")
                    read += len(piece)
        assert 0 < read < SIZE


@EACH
async def test_a_base_that_is_written_to_in_place_is_no_base_any_more(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(SIZE))
    async with serving(tmp_path) as backend:
        base = await backend.file_info(place("file"), ALICE)
        upload = await backend.begin_write(place("file"), WriteIntent(base=base), ALICE)
        await backend.keep_range(upload, 0, 10, ALICE)
        change(tmp_path / "file")
        with pytest.raises(Changed):
            await backend.keep_range(upload, 10, 20, ALICE)
        await backend.abort_write(upload, ALICE)
        upload = await backend.begin_write(place("file"), WriteIntent(base=base), ALICE)
        with pytest.raises(Changed):
            await backend.finish_write(upload, b"tail", Finish(4), ALICE)
        await backend.abort_write(upload, ALICE)


async def test_an_inode_that_is_used_again_is_another_version(tmp_path: Path) -> None:
    """Also with the size and the time of the file that had it."""
    async with serving(tmp_path) as backend:
        versions = set()
        for number in range(20):
            info = await backend.write_file(place("file"), b"%04d" % number, ALICE)
            await backend.set_mtime(place("file"), 1_000_000_000, ALICE)
            info = await backend.file_info(place("file"), ALICE)
            versions.add(info.version)
            await backend.delete(place("file"), ALICE)
        assert len(versions) == 20


async def test_the_whole_of_a_large_file_is_copied_or_kept_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the call that copies inside the kernel, and where the file system has none."""
    data = os.urandom(SIZE + 7)
    (tmp_path / "file").write_bytes(data)
    async with serving(tmp_path) as backend:
        for way in ("in the kernel", "by hand"):
            if way == "by hand":
                monkeypatch.setattr(os, "copy_file_range", _not_across_file_systems)
            await backend.copy(place("file"), place(way), ALICE, version=None)
            assert (tmp_path / way).read_bytes() == data
            base = await backend.file_info(place("file"), ALICE)
            upload = await backend.begin_write(place("file"), WriteIntent(base=base), ALICE)
            await backend.keep_range(upload, 5, len(data), ALICE)
            await backend.finish_write(upload, data[:5], Finish(len(data)), ALICE)
            data = data[5:] + data[:5]
            assert (tmp_path / "file").read_bytes() == data


async def test_files_that_the_process_may_not_read_are_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    opened = os.open

    def denied(path: bytes, flags: int, *words: int, **more: int) -> int:
        if path == b"file" and not flags & os.O_PATH:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *words, **more)

    async with serving(tmp_path, "walk") as backend:
        monkeypatch.setattr(os, "open", denied)
        with pytest.raises(PermissionDenied, match="permission denied"):
            await backend.read_file(place("file"), ALICE)


def _not_across_file_systems(*_: int) -> int:
    raise OSError(18, "Invalid cross-device link")
