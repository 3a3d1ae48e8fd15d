"""A storage that only has what is required is enough for real clients."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import asyncssh
import pytest

from s3sftp.backends import Buffer, FileInfo, Place, Session
from s3sftp.errors import ConfigurationError
from tests.backends.lean import Streaming, WholeFiles
from tests.embedding.guests import connect, openssh, paramiko_sftp, server_of, write

SIZE = 20_000_000
"""More than is held in memory: it goes through the spool."""


@pytest.mark.parametrize("kind", [WholeFiles, Streaming])
async def test_openssh_works_on_it(kind: type[WholeFiles], tmp_path: Path) -> None:
    data = bytes(range(256)) * (SIZE // 256)
    local, back = write(tmp_path / "local", data), tmp_path / "back"
    async with server_of(kind()) as server:
        done = await openssh(
            server.port,
            "mkdir d",
            f"put {local} d/file",
            "rename d/file d/other",
            "ls -l d",
            f"get d/other {back}",
            "rm d/other",
            "rmdir d",
        )
    assert done.status == 0, done.text
    assert back.read_bytes() == data
    assert "other" in done.text


async def test_paramiko_reads_parts_of_it(tmp_path: Path) -> None:
    backend = WholeFiles()
    backend.inner.put("file", b"0123456789" * 100_000)

    def work(port: int) -> bytes:
        with paramiko_sftp(port) as sftp, sftp.open("file", "rb") as file:
            file.seek(500_005)
            return file.read(10)

    async with server_of(backend) as server:
        assert await asyncio.to_thread(work, server.port) == b"5678901234"


async def test_what_it_says_by_an_os_error_reaches_the_client_without_its_path() -> None:
    class Full(WholeFiles):
        async def write_file(self, place: Place, data: Buffer, session: Session) -> None:
            raise OSError(errno.EDQUOT, "Disk quota exceeded", "/srv/secret")

    async with server_of(Full()) as server, await connect(server.port) as connection:
        async with connection.start_sftp_client() as sftp:
            file = await sftp.open("file", "wb")
            await file.write(b"x")
            with pytest.raises(asyncssh.SFTPFailure, match="quota exceeded") as failed:
                await file.close()
    assert "secret" not in str(failed.value)


async def test_one_that_lacks_something_keeps_the_server_from_starting() -> None:
    class Lacking(WholeFiles):
        rename = None  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match=r"Lacking.*rename"):
        async with server_of(Lacking()):
            pass


async def test_the_session_reaches_it_with_who_asks() -> None:
    seen: list[Session] = []

    class Curious(WholeFiles):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            seen.append(session)
            return await super().file_info(place, session)

    async with server_of(Curious()) as server:
        await openssh(server.port, "-ls nothing")
    assert {(each.user, each.client_version.partition("_")[0]) for each in seen} == {("alice", "OpenSSH")}
