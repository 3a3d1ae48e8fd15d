"""examples/fsspec_storage.py: any file system of fsspec keeps the promises, but those that it names."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.core import url_to_fs

from examples.fsspec_storage import FsspecStorage
from s3sftp.testing import NO_TIMES, BackendPromises, Outside, Subject
from tests.embedding.password_clients import openssh, server_of, write


def subject_of(fs: Any, files: str = "/files", uploads: str = "/uploads") -> Subject:
    """A storage, another one on the same file system, and what is left where uploads wait."""

    async def unfinished_uploads() -> int:
        return len(fs.ls(uploads, detail=False))

    def storage() -> FsspecStorage:
        return FsspecStorage(fs, files, uploads, piece_bytes=5000)

    return Subject(storage(), Outside.through(storage()), unfinished_uploads)


class TestMemory(BackendPromises):
    """`memory://`: keys and markers, as object storages have them."""

    exempt: ClassVar = {**NO_TIMES}

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        yield subject_of(fsspec.filesystem("memory", global_store=False, skip_instance_cache=True))


class TestDirectory(BackendPromises):
    """`dir::file://`: one file system of fsspec in another, and directories that are real."""

    exempt: ClassVar = {**NO_TIMES}

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.root = tmp_path_factory

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        fs, _ = url_to_fs(f"dir::file://{self.root.mktemp('fsspec')}")
        yield subject_of(fs, "files", "uploads")


del BackendPromises


async def test_openssh_works_on_it(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory", global_store=False, skip_instance_cache=True)
    data = bytes(range(256)) * 40_000
    local, back = write(tmp_path / "local", data), tmp_path / "back"
    async with server_of(FsspecStorage(fs, "/files", "/uploads")) as server:
        done = await openssh(
            server.port,
            "mkdir d",
            f"put {local} d/file",
            "rename d e",
            "rename e/file e/a[1]*.bin",
            f"put {local} e/file",
            f"get e/file {back}",
            "rm e/file",
            "ls -l e",
        )
    assert done.status == 0, done.text
    assert back.read_bytes() == data
    assert fs.cat_file("/files/e/a[1]*.bin") == data
    assert fs.find("/") == ["/files/e/a[1]*.bin"]


async def test_an_archive_is_read_and_refuses_to_be_changed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("files/d/file", b"content")
    fs = fsspec.filesystem("zip", fo=str(tmp_path / "archive.zip"))
    back = tmp_path / "back"
    local = write(tmp_path / "local", b"new")
    async with server_of(FsspecStorage(fs, "files", "uploads")) as server:
        done = await openssh(server.port, f"get d/file {back}")
        assert (done.status, back.read_bytes()) == (0, b"content"), done.text
        for change in ("mkdir new", "rm d/file", "rename d e", f"put {local} new"):
            done = await openssh(server.port, change)
            assert done.status != 0, change
        done = await openssh(server.port, "ls -1 /", "ls -1 d")
    fs.close()
    assert "new" not in done.text
    assert "d/file" in done.text
    assert "e/" not in done.text
