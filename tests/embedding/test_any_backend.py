"""A storage that only has what is required is enough for real clients."""

from __future__ import annotations

import asyncio
import errno
import random
from pathlib import Path
from typing import Any, Literal

import asyncssh
import pytest

from s3sftp.backends import Buffer, FileInfo, Place, Session
from s3sftp.errors import ConfigurationError, NoSpace, PermissionDenied
from s3sftp.fs import FileOptions
from tests.backends.minimal_backends import Streaming, WholeFiles
from tests.embedding.password_clients import connect, openssh, paramiko_sftp, server_of, write
from tests.support.logs import capture_events

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


async def test_a_write_that_cannot_begin_is_told_before_anything_is_sent() -> None:
    class Refusing(Streaming):
        async def begin_write(self, *arguments: Any) -> Any:
            raise PermissionDenied

    async with server_of(Refusing()) as server, await connect(server.port) as connection:
        async with connection.start_sftp_client() as sftp:
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                file = await sftp.open("file", "wb")
                await file.write(b"x")  # one of the two; never only CLOSE


async def test_the_error_of_publishing_is_that_of_close_and_nothing_is_there() -> None:
    class Failing(Streaming):
        async def finish_write(self, *arguments: Any) -> FileInfo:
            raise NoSpace("your quota is used up")

    async with server_of(Failing()) as server, await connect(server.port) as connection:
        async with connection.start_sftp_client() as sftp:
            file = await sftp.open("file", "wb")
            await file.write(b"x" * 100)
            with pytest.raises(asyncssh.SFTPFailure, match="your quota is used up"):
                await file.close()
            assert not await sftp.exists("file")


async def test_one_that_cannot_abort_is_told_of_in_the_log_alone() -> None:
    aborted = 0

    class Clumsy(Streaming):
        async def abort_write(self, *arguments: Any) -> None:
            nonlocal aborted
            aborted += 1
            raise RuntimeError("cannot")

    backend = Clumsy()
    with capture_events() as log:
        async with server_of(backend) as server:
            async with await connect(server.port) as connection, connection.start_sftp_client() as sftp:
                file = await sftp.open("file", "wb")
                await file.write(b"x" * 100)
            # the client has gone without CLOSE
            async with await connect(server.port) as connection, connection.start_sftp_client() as sftp:
                assert not await sftp.exists("file")
    assert aborted
    assert [event["backend"] for event in log if event["event"] == "upload.abort_failed"] == ["Clumsy"]


@pytest.mark.parametrize("kind", [WholeFiles, Streaming])
async def test_writes_in_any_order_arrive_as_they_were_meant(kind: type[WholeFiles]) -> None:
    piece = 32_000
    data = random.Random(7).randbytes(40 * piece)
    order = list(range(40))
    random.Random(8).shuffle(order)
    backend = kind()
    async with server_of(backend) as server, await connect(server.port) as connection:
        async with connection.start_sftp_client() as sftp, sftp.open("file", "wb") as file:
            for number in order:
                await file.write(data[number * piece : (number + 1) * piece], number * piece)
    assert await backend.inner.read_file(Place((b"file",)), Session("")) == data


@pytest.mark.parametrize("kind", [WholeFiles, Streaming])
@pytest.mark.parametrize("rewrite", ["refuse", "spool"])
async def test_a_write_that_goes_back_is_replayed_or_refused_and_never_corrupts(
    kind: type[WholeFiles], rewrite: Literal["refuse", "spool"]
) -> None:
    old, size = random.Random(7).randbytes(6_000_000), 6_000_000
    new = b"changed" + old[7:]
    backend = kind()
    options = FileOptions(rewrite=rewrite)
    async with server_of(backend, files=options) as server, await connect(server.port) as connection:
        async with connection.start_sftp_client() as sftp:
            file = await sftp.open("file", "wb", block_size=250_000)
            for at in range(0, size, 250_000):
                await file.write(old[at : at + 250_000], at)
            errors = []
            for last in (file.write(b"changed", 0), file.close()):
                try:
                    await last
                except asyncssh.SFTPError as error:
                    errors.append(error)
            stored = await sftp.exists("file")
    assert bool(errors) is (rewrite == "refuse")
    assert stored is not bool(errors)
    if stored:
        assert await backend.inner.read_file(Place((b"file",)), Session("")) == new


async def test_an_upload_beyond_the_spool_is_refused_clearly_and_nothing_is_there() -> None:
    backend = WholeFiles()
    options = FileOptions(spool_bytes=1_000_000)
    async with server_of(backend, files=options) as server, await connect(server.port) as connection:
        async with connection.start_sftp_client() as sftp:
            with pytest.raises(asyncssh.SFTPFailure, match="no space left on the server for this transfer"):
                async with sftp.open("file", "wb") as file:
                    await file.write(bytes(SIZE))
            assert not await sftp.exists("file")
            async with sftp.open("small", "wb") as file:  # there is room again
                await file.write(b"x")
            assert await sftp.getsize("small") == 1
