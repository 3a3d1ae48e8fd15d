"""Attributes as clients see them: complete, and the same however they are asked for."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from s3sftp.backends import CompleteBackend, Entry, FileInfo, Place, Session
from s3sftp.backends.local import LocalBackend, LocalOptions
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileSystem, Mounts
from s3sftp.sftp.attributes import UNDATED
from testbed.packets import (
    ATTRS,
    CREAT,
    FSTAT,
    LSTAT,
    NAME,
    READDIR,
    STAT,
    TRUNC,
    Attributes,
    R,
    W,
    read_string,
    string,
    u32,
)
from testbed.raw_client import RawSftpClient
from tests.backends.minimal_backends import WholeFiles
from tests.sftp.session_server import Serving, serving

PUT = W | CREAT | TRUNC


class Timeless(WholeFiles):
    """A storage that keeps no times at all."""

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return _without_time(await super().file_info(place, session))

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[list[Entry]]:  # type: ignore[override]
        async for page in super().list_dir(place, session):
            yield [Entry(entry.name, _without_time(entry.info)) for entry in page]


def _without_time(info: FileInfo) -> FileInfo:
    return FileInfo.directory() if info.is_dir else FileInfo.file(info.size)


STORAGES: dict[str, Callable[[Path], object]] = {
    "memory": lambda _: MemoryBackend(),
    "local": lambda path: LocalBackend(LocalOptions(root=path)),
    "whole files": lambda _: WholeFiles(),
    "timeless": lambda _: Timeless(),
}


@asynccontextmanager
async def furnished(storage: str, path: Path) -> AsyncIterator[tuple[Serving, RawSftpClient]]:
    """A server with a file, a directory that was made and, where there are such, one that was not."""
    backend = cast(CompleteBackend, STORAGES[storage](path))
    async with serving(backend) as server, server.client() as client:
        await client.mkdir(b"/made")
        await client.put(b"/made/file", b"12345")
        await client.put(b"/implied/file", b"1")
        yield server, client


async def asked(client: RawSftpClient, kind: int, what: bytes) -> Attributes:
    return Attributes.parse((await client.request(kind, string(what))).must_be(ATTRS), 0)[0]


@pytest.mark.parametrize("storage", STORAGES)
async def test_every_attribute_of_everything_is_there(storage: str, tmp_path: Path) -> None:
    async with furnished(storage, tmp_path) as (_, client):
        for path in (b"/", b"/made", b"/implied", b"/made/file"):
            for kind in (STAT, LSTAT):
                assert (await asked(client, kind, path)).is_complete
        reading, writing = await client.open(b"/made/file", R), await client.open(b"/made/new", PUT)
        assert (await asked(client, FSTAT, reading)).is_complete
        assert (await asked(client, FSTAT, writing)).is_complete
        assert (await asked(client, STAT, b"/made/new")).is_complete
        await client.close(reading)
        await client.close(writing)


@pytest.mark.parametrize("storage", STORAGES)
async def test_a_listing_says_all_that_stat_says_and_its_lines_agree(storage: str, tmp_path: Path) -> None:
    async with furnished(storage, tmp_path) as (_, client):
        for path in (b"/", b"/made"):
            handle = await client.opendir(path)
            body = (await client.request(READDIR, string(handle))).must_be(NAME)
            at = 4
            for _each in range(struct.unpack_from(">I", body)[0]):
                name, at = read_string(body, at)
                line, at = read_string(body, at)
                attributes, at = Attributes.parse(body, at)
                assert attributes.is_complete
                assert line.startswith(b"d" if attributes.is_dir else b"-")
                assert str(attributes.size).encode() == line.split()[4]
                if name not in (b".", b".."):
                    assert attributes == await client.stat(path.rstrip(b"/") + b"/" + name)
            await client.close(handle)


@pytest.mark.parametrize("storage", STORAGES)
async def test_no_time_is_the_beginning_of_time_or_this_moment(storage: str, tmp_path: Path) -> None:
    async with furnished(storage, tmp_path) as (_, client):
        for path in (b"/", b"/implied", b"/made"):
            first, second = await client.stat(path), await client.stat(path)
            assert first == second
            assert (first.mtime or 0) >= UNDATED


async def test_a_directory_has_its_marker_s_time_and_without_one_a_fixed_time() -> None:
    async with serving(MemoryBackend(clock=lambda: 1_234_567_890)) as server, server.client() as client:
        await client.mkdir(b"/made")
        await client.put(b"/implied/file", b"1")
        listed = await client.list(b"/")
        assert (listed[b"made"].mtime, listed[b"implied"].mtime) == (1_234_567_890, UNDATED)
        assert (await client.stat(b"/made")).mtime == 1_234_567_890
        assert (await client.stat(b"/implied")).mtime == (await client.stat(b"/")).mtime == UNDATED


async def test_everything_belongs_to_the_same_owner_and_was_read_when_it_was_written() -> None:
    async with serving(MemoryBackend()) as server, server.client() as client:
        await client.put(b"/d/f", b"1")
        for path in (b"/", b"/d", b"/d/f"):
            attributes = await client.stat(path)
            assert (attributes.owner, attributes.atime) == ((1000, 1000), attributes.mtime)


async def test_fixed_directories_have_complete_attributes_too() -> None:
    async with serving(MemoryBackend()) as server:
        mounts = Mounts.of("", directories=["inbox"])
        server.files = lambda user: FileSystem(server.volume, mounts, Session(user))  # type: ignore[method-assign]
        async with server.client() as client:
            assert (await client.stat(b"/inbox")).is_complete
            assert (await client.list(b"/"))[b"inbox"] == await client.stat(b"/inbox")
            assert u32(UNDATED) in (await client.request(STAT, string(b"/inbox"))).body
