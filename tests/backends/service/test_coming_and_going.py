"""A service in another process may be away, and may be another one when it comes back."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends import Finish, Place, Session, WriteIntent
from s3sftp.backends.complete import complete
from s3sftp.backends.contract import CompleteBackend
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.service import serve_unix
from s3sftp.backends.service.framing import MAX_HELLO_BYTES, FrameStream
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import ConfigurationError, StorageFailure
from tests.backends.partial_backends import STREAMING, with_only
from tests.backends.service.service_processes import behind, served, short_directory

ME = Session("alice")
ROOT, FILE = Place(), Place((b"file",))
ABSENT = "storage service is not there"
QUOTA = SpoolQuota(None, 100 << 20)


@pytest.fixture
def path() -> Iterator[Path]:
    with short_directory() as directory:
        yield directory / "socket"


@pytest.fixture
async def backend(path: Path) -> AsyncIterator[CompleteBackend]:
    """What a server stores in, started before anybody listens."""
    backend = complete(behind(path), QUOTA)
    await backend.start()
    yield backend
    await backend.stop()
    assert QUOTA.used == 0


def ready(backend: CompleteBackend) -> bool:
    return bool(backend.ready)  # type: ignore[attr-defined]


async def until_ready(backend: CompleteBackend, wanted: bool = True) -> None:
    async with asyncio.timeout(20):
        while ready(backend) is not wanted:
            await asyncio.sleep(0.01)


async def test_while_nobody_listens_operations_fail_at_once(path: Path) -> None:
    backend = behind(path, connect_timeout=60)
    await backend.start()
    async with asyncio.timeout(30):  # which a single one that waited for its limit would not keep
        for _ in range(20):
            with pytest.raises(StorageFailure, match=ABSENT):
                await backend.file_info(ROOT, ME)
        with pytest.raises(StorageFailure, match=ABSENT):
            await backend.begin_write(FILE, WriteIntent(), ME)
    assert not backend.ready
    await backend.stop()


async def test_a_service_that_accepts_and_says_nothing_is_waited_for_only_so_long(path: Path) -> None:
    async with silent(path):
        backend = behind(path, connect_timeout=0.2)
        async with asyncio.timeout(20):
            await backend.start()
            with pytest.raises(StorageFailure, match=ABSENT):
                await backend.file_info(ROOT, ME)
        await backend.stop()


async def test_it_is_ready_again_by_itself_when_the_service_is_back(
    backend: CompleteBackend, path: Path
) -> None:
    for _ in range(2):
        async with served(path, MemoryBackend()):
            await until_ready(backend)
            await backend.write_file(FILE, b"content", ME)
        await until_ready(backend, False)


async def test_a_call_finds_a_service_that_has_just_come_back(backend: CompleteBackend, path: Path) -> None:
    async with served(path, MemoryBackend()):
        await asyncio.sleep(0.15)  # not sooner is it asked for again
        assert (await backend.file_info(ROOT, ME)).is_dir


async def test_an_upload_that_waits_in_the_spool_outlives_the_service(
    backend: CompleteBackend, path: Path
) -> None:
    storage = MemoryBackend()
    whole_files = with_only(storage)
    async with served(path, whole_files):
        await until_ready(backend)
        upload = await backend.begin_write(FILE, WriteIntent(), ME)
        data = bytes(range(256)) * (upload.chunk_bytes // 256)
        for _ in range(9):  # more than is held in memory
            await backend.write_chunk(upload, data, ME)
    async with served(path, whole_files):
        await until_ready(backend)
        assert QUOTA.used > 0
        await backend.finish_write(upload, b"tail", Finish(9 * len(data) + 4), ME)
    assert storage.objects[b"file"].data == 9 * data + b"tail"


async def test_a_service_may_come_back_with_other_callbacks(backend: CompleteBackend, path: Path) -> None:
    """What began on the one that was is not continued on the other, and lets go of its quota."""
    storage = MemoryBackend()
    async with served(path, with_only(storage, *STREAMING)):
        await until_ready(backend)
        streamed = await backend.begin_write(FILE, WriteIntent(), ME)
        await backend.write_chunk(streamed, bytes(streamed.chunk_bytes), ME)
    async with served(path, with_only(storage)):
        await until_ready(backend)
        with pytest.raises(StorageFailure, match=ABSENT):
            await backend.finish_write(streamed, b"", Finish(streamed.chunk_bytes), ME)
        await backend.abort_write(streamed, ME)
        spooled = await backend.begin_write(FILE, WriteIntent(), ME)
        await backend.finish_write(spooled, b"by the spool", Finish(12), ME)
    assert storage.objects[b"file"].data == b"by the spool"
    assert storage.open_uploads == 0


async def test_copies_of_files_go_with_the_service_that_needed_them(
    backend: CompleteBackend, path: Path
) -> None:
    storage = MemoryBackend({"file": bytes(9 << 20)})
    async with served(path, with_only(storage)):
        await until_ready(backend)
        async for _ in backend.read_file_range(FILE, 0, 100, None, ME):
            pass
        assert QUOTA.used == 9 << 20
    async with served(path, storage):
        await until_ready(backend)
        assert QUOTA.used == 0


async def test_each_start_has_a_room_of_its_own(path: Path) -> None:
    backend = behind(path)
    async with served(path, with_only(MemoryBackend({"file": bytes(9 << 20)}))):
        for _ in range(2):
            quota = SpoolQuota(None, 10 << 20)
            whole = complete(backend, quota)
            await whole.start()
            async for _ in whole.read_file_range(FILE, 0, 100, None, ME):
                pass
            assert quota.used == 9 << 20
            await whole.stop()
            assert quota.used == 0


async def test_a_hundred_calls_at_once_share_one_connection(backend: CompleteBackend, path: Path) -> None:
    connections = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with await asyncio.start_unix_server(accept, path):
        await asyncio.sleep(0.15)  # not sooner is it asked for again
        calls = [asyncio.create_task(backend.file_info(ROOT, ME)) for _ in range(100)]
        async with asyncio.timeout(20):
            while not connections:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert len(connections) == 1
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        connections[0].close()


async def test_a_service_that_hangs_up_is_not_knocked_at_with_every_call(
    backend: CompleteBackend, path: Path
) -> None:
    knocks = 0

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal knocks
        knocks += 1
        writer.close()

    async with await asyncio.start_unix_server(accept, path):
        calls, began, passed = 0, time.monotonic(), 0.0
        while passed < 0.35 or calls <= 50:
            with pytest.raises(StorageFailure, match=ABSENT):
                await backend.file_info(ROOT, ME)
            calls += 1
            await asyncio.sleep(0)
            passed = time.monotonic() - began
    # a call knocks a tenth of a second after the last answer, and so does the backend by itself
    assert knocks < 1 + 2 * passed / 0.1


@pytest.mark.parametrize("version", [0, 2, None, "1"])
async def test_a_server_of_another_version_is_told_which_one_this_is_and_left(
    path: Path, version: object
) -> None:
    async with served(path, MemoryBackend()):
        stream = FrameStream(*await asyncio.open_unix_connection(path))
        await stream.send({"hello": "s3sftp-storage", "version": version, "max_frame_bytes": 16 << 20})
        answered = await stream.receive()
        assert answered is not None
        assert answered["version"] == 1
        assert await stream.receive() is None
        stream.close()


async def test_a_service_that_turns_into_something_else_is_an_error_and_not_ready(
    backend: CompleteBackend, path: Path
) -> None:
    async with served(path, MemoryBackend()):
        await until_ready(backend)
    async with speaking(path, {"hello": "s3sftp-storage", "version": 9, "max_frame_bytes": 16 << 20}):
        await asyncio.sleep(0.15)
        with pytest.raises(StorageFailure, match="not understood") as failed:
            await backend.file_info(ROOT, ME)
        assert "version 9" in (failed.value.detail or "")
        assert not ready(backend)


# ── the socket of serve_unix ────────────────────────────────────────────────────────────────────────


async def test_the_socket_is_private_and_goes_with_the_service(path: Path) -> None:
    async with served(path, MemoryBackend()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    async with served(path, MemoryBackend(), mode=0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_a_socket_that_a_dead_process_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with served(path, MemoryBackend()):
        pass


async def test_a_socket_where_somebody_listens_is_not_replaced(path: Path) -> None:
    async with served(path, MemoryBackend()):
        with pytest.raises(OSError, match="another service listens there"):
            await serve_unix(path, MemoryBackend())
        async with asyncio.timeout(20):
            assert await knows(path)


async def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        await serve_unix(path, MemoryBackend())
    assert path.read_text() == "precious"


async def test_what_is_no_backend_is_refused_by_name(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="finish_write"):
        await serve_unix(path, with_only(MemoryBackend(), "begin_write", "write_chunk", "abort_write"))


async def knows(path: Path) -> bool:
    backend = behind(path)
    await backend.start()
    try:
        return backend.ready
    finally:
        await backend.stop()


@asynccontextmanager
async def silent(path: Path) -> AsyncIterator[None]:
    """Somebody who accepts and says nothing."""
    async with speaking(path, None):
        yield


@asynccontextmanager
async def speaking(path: Path, hello: dict[str, Any] | None) -> AsyncIterator[None]:
    """Somebody who says one thing to whoever connects."""
    streams = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams.append(stream := FrameStream(reader, writer))
        if hello is not None:
            stream.max_sent_bytes = MAX_HELLO_BYTES
            await stream.send(hello)

    async with await asyncio.start_unix_server(speak, path):
        yield
        for stream in streams:
            stream.close()
