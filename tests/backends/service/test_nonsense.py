"""What either end may send that it should not: it is told, or hung up on; nobody else is hurt."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sftp.backends import FileInfo, Finish, Place, Session, WriteIntent
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import NoSpace, StorageError, StorageFailure
from tests.backends.partial_backends import STREAMING, with_only
from tests.backends.service.service_processes import behind, served, short_directory
from tests.backends.service.test_calls import Odd, happens
from tests.backends.service.test_wire import anything

ME = Session("alice")
FILE = Place((b"file",))
HELLO = {"hello": "s3sftp-storage", "version": 1, "max_frame_bytes": 16 << 20}
SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

frames = st.one_of(
    st.binary(max_size=100),
    anything.map(lambda value: framed(value)),
    st.dictionaries(
        st.sampled_from(["id", "op", "place", "session", "cancel", "upload", "data", "cursor", "ok"]),
        anything | st.sampled_from(["file_info", "list_dir", "begin_write", "write_chunk", "abort_write"]),
    ).map(lambda value: framed(value)),
)


def framed(value: Any) -> bytes:
    frame: bytes = msgpack.packb(value)
    return struct.pack(">I", len(frame)) + frame


async def received(reader: asyncio.StreamReader) -> Any:
    """The next map, or None at the end."""
    try:
        async with asyncio.timeout(20):
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            return msgpack.unpackb(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


# ── a server that sends nonsense to a service ───────────────────────────────────────────────────────


@asynccontextmanager
async def connected(
    path: Path, greet: bool = True
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        if greet:
            writer.write(framed(HELLO))
            assert (await received(reader))["hello"] == "s3sftp-storage"
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def answers(path: Path) -> bool:
    async with connected(path) as (reader, writer):
        writer.write(framed({"id": 1, "op": "file_info", "place": b"", "session": {}}))
        return (await received(reader)) == {"id": 1, "ok": {"kind": "directory", "size": 0}}


@SOME
@given(st.lists(frames, min_size=1, max_size=5), st.booleans())
def test_a_service_outlives_whatever_a_server_sends(sent: list[bytes], greet: bool) -> None:
    async def play() -> None:
        with short_directory() as directory:
            path = directory / "socket"
            storage = MemoryBackend()
            async with served(path, storage):
                async with connected(path, greet) as (_, writer):
                    with suppress(ConnectionError):
                        for each in sent:
                            writer.write(each)
                            await writer.drain()
                        await asyncio.sleep(0)
                assert await answers(path)
            assert storage.open_uploads == 0

    asyncio.run(play())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"id": 5, "op": "paint", "place": b""}, "ENOTSUP"),
        ({"id": 5, "op": "file_info", "place": "text", "session": {}}, "EINVAL"),
        ({"id": 5, "op": "file_info", "place": b"../etc", "session": {}}, "EINVAL"),
        ({"id": 5, "op": "write_chunk", "upload": 9, "offset": 0, "data": b"", "session": {}}, "EIO"),
        ({"id": 5, "op": "list_dir", "place": b"", "cursor": 99, "session": {}}, "EIO"),
        ({"id": 5, "op": "abort_write", "upload": 9, "session": {}}, None),
        ({"id": 5, "op": "end_list", "cursor": 99, "session": {}}, None),
    ],
    ids=lambda value: value["op"] if isinstance(value, dict) else "",
)
async def test_a_request_that_makes_no_sense_is_answered_and_the_next_one_too(
    request_: dict[str, Any], error: str | None
) -> None:
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, MemoryBackend()), connected(path) as (reader, writer):
            writer.write(framed(request_))
            answer = await received(reader)
            assert (answer["id"], answer.get("error")) == (5, error)
            writer.write(framed({"id": 6, "op": "file_info", "place": b"", "session": {}}))
            assert (await received(reader))["id"] == 6


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">I", (16 << 20) + 1),
        framed([1, 2]),
        framed({"id": -1, "op": "file_info"}),
        framed({"cancel": "all"}),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
    ],
    ids=["too long", "no map", "no number", "cancel of what", "no msgpack"],
)
async def test_a_frame_that_cannot_be_understood_ends_the_connection(sent: bytes) -> None:
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, MemoryBackend()):
            async with connected(path) as (reader, writer):
                writer.write(sent)
                assert await received(reader) is None
            assert await answers(path)


async def test_a_number_that_is_used_again_before_its_answer_ends_the_connection() -> None:
    storage = Odd()
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, storage), connected(path) as (reader, writer):
            for _ in range(2):
                writer.write(framed({"id": 1, "op": "file_info", "place": b"slow", "session": {}}))
                await happens(storage.asked)
            assert await received(reader) is None
            await happens(storage.cancelled)


async def test_frames_that_are_too_short_for_a_page_are_refused_in_the_hello() -> None:
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, MemoryBackend()), connected(path, greet=False) as (reader, writer):
            writer.write(framed(HELLO | {"max_frame_bytes": (2 << 20) - 1}))
            assert (await received(reader))["max_frame_bytes"] == 16 << 20
            assert await received(reader) is None


async def test_a_server_that_says_no_hello_is_not_sent_anything_of_the_storage() -> None:
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, MemoryBackend()), connected(path, greet=False) as (reader, writer):
            writer.write(framed({"id": 1, "op": "file_info", "place": b"", "session": {}}))
            assert (await received(reader))["hello"] == "s3sftp-storage"  # what this is, and then the end
            assert await received(reader) is None


# ── a service that sends nonsense to a server ───────────────────────────────────────────────────────

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def playing(path: Path, play: Play) -> AsyncIterator[None]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await play(reader, writer)
        writer.close()

    async with await asyncio.start_unix_server(accept, path):
        yield


async def outcome(path: Path, **options: Any) -> object:
    """What comes of asking: an error, or what was answered."""
    backend = behind(path, connect_timeout=20, call_timeout=20, **options)
    try:
        await backend.start()
        return await backend.file_info(FILE, ME)
    except StorageError as error:
        return error
    finally:
        await backend.stop()


@SOME
@given(st.lists(frames, min_size=1, max_size=3), st.booleans())
def test_a_server_outlives_whatever_a_service_sends(sent: list[bytes], greet: bool) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greet:
            writer.write(framed(HELLO))
            await received(reader)
        await received(reader)
        for each in sent:
            writer.write(each)
        await writer.drain()

    async def ask() -> None:
        with short_directory() as directory:
            async with playing(directory / "socket", play):
                assert isinstance(await outcome(directory / "socket"), StorageError)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ({"id": 1, "ok": {"kind": "pipe"}}, "the kind file or directory"),
        ({"id": 1, "ok": {"kind": ["file"]}}, "the kind file or directory"),
        ({"id": 1, "ok": {"kind": "file", "size": -1}}, "not negative"),
        ({"id": 1}, "neither ok nor error"),
        ({"id": 1, "error": 5}, "has no name"),
        ({"id": 1, "error": "EWEIRD"}, "EWEIRD"),
        ({"id": 9, "ok": None}, "which was not asked"),
        ({"ok": None}, "a number"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error_and_the_log_says_why(
    answer: dict[str, Any], detail: str
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(HELLO))
        await received(reader)
        await received(reader)
        writer.write(framed(answer))
        await received(reader)

    with short_directory() as directory:
        async with playing(directory / "socket", play):
            failed = await outcome(directory / "socket")
    assert isinstance(failed, StorageFailure)
    assert detail in (failed.detail or "")


async def test_a_frame_of_a_service_that_is_too_long_is_not_read() -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(HELLO))
        await received(reader)
        await received(reader)
        writer.write(struct.pack(">I", (2 << 20) + 1) + bytes(1000))
        await received(reader)

    with short_directory() as directory:
        async with playing(directory / "socket", play):
            failed = await outcome(directory / "socket", max_frame_bytes=2 << 20)
    assert isinstance(failed, StorageFailure)
    assert "at most 2097152 are taken" in (failed.detail or "")


async def test_an_answer_that_no_map_can_have_fails_its_call_and_no_other() -> None:
    class Dated(MemoryBackend):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            info = await super().file_info(place, session)
            return replace(info, mtime=datetime.now(UTC)) if place == FILE else info  # type: ignore[arg-type]

    storage = Dated({"file": b"content"})
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, with_only(storage, *STREAMING)):
            backend = behind(path)
            await backend.start()
            upload = await backend.begin_write(Place((b"new",)), WriteIntent(), ME)
            with pytest.raises(StorageFailure) as failed:
                await backend.file_info(FILE, ME)
            assert "bad answer" in (failed.value.detail or "")
            await backend.finish_write(upload, b"whole", Finish(5), ME)
            await backend.stop()
    assert storage.objects[b"new"].data == b"whole"


# ── what is right, but too much ─────────────────────────────────────────────────────────────────────


async def test_a_whole_file_that_fits_into_no_frame_is_refused_with_what_would_be_right() -> None:
    storage = MemoryBackend()
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, with_only(storage), max_frame_bytes=2 << 20):
            backend = behind(path)
            await backend.start()
            with pytest.raises(NoSpace, match="file too large") as failed:
                await backend.write_file(FILE, bytes(3 << 20), ME)
            assert "begin_write" in (failed.value.detail or "")
            storage.put("file", bytes(3 << 20))
            with pytest.raises(NoSpace, match="file too large"):
                await backend.read_file(FILE, ME)
            await backend.write_file(FILE, bytes(1 << 20), ME)  # the connection is good for others
            await backend.stop()
    assert storage.objects[b"file"].data == bytes(1 << 20)


async def test_chunks_that_fit_into_no_frame_are_refused_when_the_upload_begins() -> None:
    storage = MemoryBackend(chunk_bytes=3 << 20)
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, with_only(storage, *STREAMING), max_frame_bytes=2 << 20):
            backend = behind(path)
            await backend.start()
            with pytest.raises(StorageFailure) as failed:
                await backend.begin_write(FILE, WriteIntent(), ME)
            assert "chunks of 3145728 bytes" in (failed.value.detail or "")
            await backend.file_info(Place(), ME)
            assert storage.open_uploads == 0
            await backend.stop()


async def test_chunks_that_grow_stay_within_the_frames() -> None:
    storage = MemoryBackend(chunk_bytes=1 << 20, chunk_growth_bytes=1 << 19)
    with short_directory() as directory:
        path = directory / "socket"
        async with served(path, with_only(storage, *STREAMING), max_frame_bytes=2 << 20):
            backend = behind(path)
            await backend.start()
            upload = await backend.begin_write(FILE, WriteIntent(), ME)
            size = 0
            with pytest.raises(StorageFailure) as failed:
                for _ in range(4):
                    size += upload.chunk_bytes
                    await backend.write_chunk(upload, bytes(upload.chunk_bytes), ME)
                await backend.finish_write(upload, b"", Finish(size), ME)
            assert "bytes" in (failed.value.detail or "")
            await backend.abort_write(upload, ME)
            await backend.stop()
    assert storage.open_uploads == 0
