"""A storage of another package with nothing but what is required: whole files, in a directory."""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from s3sftp.backends import Backend, Buffer, Entry, FileInfo, Place, Session

PIECE = 1 << 20


class Vault(Backend):
    """Takes a file piece by piece from where it waits, and gives it back mapped."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.root = Path(options["root"])

    def _path(self, place: Place) -> Path:
        return self.root.joinpath(*(os.fsdecode(name) for name in place.names))

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        status = self._path(place).stat()
        return FileInfo.directory() if place.is_root else FileInfo.file(status.st_size, status.st_mtime)

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        yield [
            Entry(os.fsencode(path.name), FileInfo.file(path.stat().st_size)) for path in self.root.iterdir()
        ]

    async def make_dir(self, place: Place, session: Session) -> None:
        self._path(place).mkdir()

    async def del_dir(self, place: Place, session: Session) -> None:
        self._path(place).rmdir()

    async def delete(self, place: Place, session: Session) -> None:
        self._path(place).unlink()

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        self._path(source).rename(self._path(target))

    async def read_file(self, place: Place, session: Session) -> mmap.mmap:
        with self._path(place).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> None:
        await asyncio.to_thread(self._write, self._path(place), memoryview(data))

    def _write(self, path: Path, data: memoryview) -> None:
        with path.open("wb") as file:
            for at in range(0, len(data), PIECE):
                file.write(data[at : at + PIECE])
