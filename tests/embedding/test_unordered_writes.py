"""Clients that write files out of order, or are refused, on storages that have whole files or stream."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp import StaticUser, StaticUsers
from s3sftp.backends import FileInfo, Place, Session
from s3sftp.errors import NoSpace, PermissionDenied
from s3sftp.fs import FileOptions
from tests.backends.minimal_backends import Streaming, WholeFiles
from tests.embedding.password_clients import HOST_KEY, PASSWORD, openssh, paramiko_sftp, server_of, write
from tests.support.clients import Clients
from tests.support.commands import installed

PIECE = 100_000
DATA = random.Random(3).randbytes(60 * PIECE)
"""Several chunks: what comes late has to be put in order, or replayed."""
WINDOW = FileOptions(reorder_bytes=16 << 20)
BEYOND = FileOptions(reorder_bytes=1 << 20, rewrite="spool")
ORDERS = {"within the window": WINDOW, "beyond it": BEYOND}

both_kinds = pytest.mark.parametrize("kind", [WholeFiles, Streaming])
both_orders = pytest.mark.parametrize("options", ORDERS.values(), ids=ORDERS)


async def stored(backend: WholeFiles, name: str = "file") -> bytes:
    return await backend.inner.read_file(Place((name.encode(),)), Session(""))


def shuffled_pieces() -> list[int]:
    """Where pieces begin, the first of them last."""
    offsets = list(range(PIECE, len(DATA), PIECE))
    random.Random(8).shuffle(offsets)
    return [*offsets, 0]


@dataclass
class Here:
    """A server, as Clients know one."""

    port: int
    key_file: Path
    known_hosts: Path
    host: str = "127.0.0.1"
    user: str = "alice"
    password: str = PASSWORD
    fingerprint: str = HOST_KEY.get_fingerprint()


@asynccontextmanager
async def clients_of(backend: Any, options: FileOptions, directory: Path) -> AsyncIterator[Clients]:
    """Clients that log in by a key, of a server with this storage."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(directory / "key"))
    (directory / "key").chmod(0o600)
    user = StaticUser(PASSWORD, [key.export_public_key().decode()])
    async with server_of(backend, auth=StaticUsers({"alice": user}), files=options) as server:
        line = f"[127.0.0.1]:{server.port} {HOST_KEY.export_public_key().decode()}"
        known_hosts = write(directory / "known_hosts", line.encode())
        yield Clients(Here(server.port, directory / "key", known_hosts), directory / "home")


@both_kinds
@both_orders
async def test_paramiko_seeks_while_it_writes(kind: type[WholeFiles], options: FileOptions) -> None:
    def work(port: int) -> None:
        with paramiko_sftp(port) as sftp, sftp.open("file", "wb") as file:
            file.set_pipelined(True)
            for at in shuffled_pieces():
                file.seek(at)
                file.write(DATA[at : at + PIECE])

    backend = kind()
    async with server_of(backend, files=options) as server:
        await asyncio.to_thread(work, server.port)
    assert await stored(backend) == DATA


@both_kinds
@both_orders
async def test_a_program_writes_anywhere_in_a_file_of_a_mounted_directory(
    kind: type[WholeFiles], options: FileOptions, tmp_path: Path
) -> None:
    def work(file: Path) -> None:
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
        try:
            for at in shuffled_pieces():
                os.pwrite(descriptor, DATA[at : at + PIECE], at)
            if options is BEYOND:  # back to what may be in the storage already: replayed
                os.pwrite(descriptor, DATA[:10], 0)
        finally:
            os.close(descriptor)

    backend = kind()
    async with (
        clients_of(backend, options, tmp_path) as clients,
        clients.sshfs("/", tmp_path / "mount") as mounted,
    ):
        await asyncio.to_thread(work, mounted / "file")
    assert await stored(backend) == DATA


@both_kinds
@both_orders
async def test_rclone_sends_many_pieces_at_once(
    kind: type[WholeFiles], options: FileOptions, tmp_path: Path
) -> None:
    local, backend = write(tmp_path / "file", DATA * 3), kind()
    async with clients_of(backend, options, tmp_path) as clients:
        words = ("copyto", "--sftp-concurrency", "128", str(local), "alice:file")
        done = await clients.rclone(*words, program=installed("rclone"))
    assert done.status == 0, done.text
    assert await stored(backend) == DATA * 3


# what a person reads who uses OpenSSH's sftp


async def test_openssh_says_of_the_file_that_it_cannot_be_opened_when_no_write_can_begin(
    tmp_path: Path,
) -> None:
    class Refusing(Streaming):
        async def begin_write(self, *arguments: Any) -> Any:
            raise PermissionDenied

    async with server_of(Refusing()) as server:
        done = await openssh(server.port, f"put {write(tmp_path / 'f', DATA)} file")
    assert done.status == 1
    assert done.err.decode().strip() == 'dest open "/file": Permission denied'


@both_kinds
async def test_openssh_says_of_close_that_it_failed_when_nothing_can_be_published(
    kind: type[WholeFiles], tmp_path: Path
) -> None:
    class Full(kind):  # type: ignore[misc, valid-type]
        async def write_file(self, *arguments: Any) -> None:
            raise NoSpace

        async def finish_write(self, *arguments: Any) -> FileInfo:
            raise NoSpace

    if kind is WholeFiles:
        del Full.finish_write
    async with server_of(Full()) as server:
        done = await openssh(server.port, f"put {write(tmp_path / 'f', DATA)} file")
        listed = await openssh(server.port, "ls -la /")
    assert done.status == 1
    assert done.err.decode().strip() == "close remote: Failure"
    assert "file" not in listed.out.decode().replace("ls -la /", "")


async def test_a_root_that_the_storage_does_not_know_is_an_empty_directory(tmp_path: Path) -> None:
    class Rootless(WholeFiles):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            if place.is_root:
                raise FileNotFoundError
            return await super().file_info(place, session)

        async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Any]:
            if place.is_root:
                raise FileNotFoundError
            yield []

    local = write(tmp_path / "local", b"x")
    async with server_of(Rootless()) as server:
        done = await openssh(server.port, "cd /", "ls -l /", f"put {local} file", "ls -l file")
    assert done.status == 0, done.text
    assert done.out.decode().count("file\n") >= 1
