"""What CLOSE says is what is stored: proved where nothing is sent, told as soon as S3 has confirmed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import Changed
from s3sftp.events import EventHub
from s3sftp.fs import FileSystem, VirtualPath, WriteMode
from s3sftp.fs.open_writer import OpenWriter
from tests.backends.s3.conftest import PART, Opener
from tests.backends.s3.test_janitor import journal_files
from tests.backends.s3.upload_driver import data_of
from tests.events.faulty_subscribers import Ear, put, until, volume_with
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Hold, HoldReply
from tests.support.logs import capture_events
from tests.support.s3_client import S3

F = VirtualPath.parse(b"/f")
OLD, THEIRS = b"the old file", b"someone else"
CREATE, CHANGE, APPEND = WriteMode(), WriteMode(create=False), WriteMode(append=True)


@asynccontextmanager
async def filesystem(backend: S3Backend, ear: Ear | None = None) -> AsyncIterator[FileSystem]:
    """What a user sees of the bucket, below `alice/` of its prefix."""
    await backend.stop()  # the volume starts it
    async with volume_with(EventHub((ear or Ear()).hear), backend) as files:
        yield files


async def nothing(writer: OpenWriter) -> None:
    return


async def same_size(writer: OpenWriter) -> None:
    await writer.set_attributes(len(OLD), None)


async def a_time(writer: OpenWriter) -> None:
    await writer.set_attributes(None, 1.0)


async def nothing_appended(writer: OpenWriter) -> None:
    await writer.write(0, b"")


async def same_bytes(writer: OpenWriter) -> None:
    await writer.write(0, OLD)


WAYS: list[tuple[WriteMode, Callable[[OpenWriter], Awaitable[None]]]] = [
    (CREATE, nothing),
    (CHANGE, nothing),
    (APPEND, nothing),
    (CREATE, same_size),
    (CHANGE, same_size),
    (CREATE, a_time),
    (CHANGE, a_time),
    (APPEND, nothing_appended),
    (CREATE, same_bytes),
    (CHANGE, same_bytes),
]


@pytest.mark.parametrize("change", ["none", "replaced", "removed", "removed and made again"])
@pytest.mark.parametrize(("mode", "act"), WAYS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_file_that_is_said_to_be_unchanged_is_there_as_it_was(
    open_backend: Opener,
    s3: S3,
    mode: WriteMode,
    act: Callable[[OpenWriter], Awaitable[None]],
    change: str,
) -> None:
    """And else it is an error, and what somebody else has done stays; only what was sent is published."""
    backend = await open_backend(cache_ttl=timedelta(minutes=1))
    key = "tenant/alice/f"
    async with filesystem(backend) as files:
        await s3.put(key, OLD)
        assert (await files.stat(F)).size == len(OLD)
        writer = await files.open_writer(F, mode)
        await writer.stat()  # from now on what it was is known; without CREAT it is from OPEN on
        await act(writer)
        if change != "none":
            await s3.delete(key)
        if change == "replaced":
            await s3.put(key, THEIRS)
        elif change == "removed and made again":
            await s3.put(key, OLD)
        if act is same_bytes or change in ("none", "removed and made again"):
            await writer.close()
            assert (await files.stat(F)).size == len(OLD)
            assert await s3.body(key) == OLD
        else:
            with pytest.raises(Changed):
                await writer.close()
            assert await s3.keys() == ([] if change == "removed" else [key])
            assert change == "removed" or await s3.body(key) == THEIRS


@pytest.mark.parametrize("data", [b"", b"new"])
async def test_a_new_file_replaces_none_that_came_meanwhile_and_would_have_been_kept(
    open_backend: Opener, s3: S3, data: bytes
) -> None:
    """Opened without TRUNC where nothing was, as was asked then: else some of what is there would survive."""
    backend = await open_backend(cache_ttl=timedelta(minutes=1))
    async with filesystem(backend) as files:
        writer = await files.open_writer(F, CREATE)
        await writer.stat()
        await writer.write(0, data)
        await s3.put("tenant/alice/f", THEIRS)
        with pytest.raises(Changed):
            await writer.close()
        assert await s3.body("tenant/alice/f") == THEIRS


async def test_the_proof_costs_one_head_and_nothing_where_something_is_sent(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend = await open_backend(cache_ttl=timedelta(minutes=1))
    async with filesystem(backend) as files:
        await put(files, "/f", OLD)
        proxy.clear()
        await (await files.open_writer(F, CREATE)).close()
        assert dict(proxy.log.by_api()) == {"HeadObject": 1}
        proxy.clear()
        await put(files, "/f", OLD)
        assert dict(proxy.log.by_api()) == {"PutObject": 1}


@pytest.mark.parametrize("fault", [Hold(), HoldReply()], ids=["before S3", "after S3"])
async def test_a_client_that_leaves_while_a_late_time_is_set_has_stored_its_file(
    open_backend: Opener, s3: S3, proxy: FaultProxy, fault: Hold
) -> None:
    """The time came after the upload was created: a step of its own, after the commit."""
    backend, ear = await open_backend(), Ear()
    data = data_of(PART + 1000)
    async with filesystem(backend, ear) as files:
        writer = await files.open_writer(F, WriteMode(truncate=True))
        await writer.write(0, data)
        await writer.set_attributes(None, 1.0)
        held = proxy.on("CopyObject", do=fault)
        with capture_events() as logs:
            closing = asyncio.create_task(writer.close())
            await held.reached()
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        await until(lambda: ear.heard)
        assert await s3.body("tenant/alice/f") == data
    assert [(event.path, event.size) for event in ear.heard] == [("/f", len(data))]
    assert [line["event"] for line in logs if line["event"].startswith("upload.")] == ["upload.committed"]


@pytest.mark.parametrize("how", ["written", "copied"])
async def test_a_file_is_stored_before_the_journal_knows(
    open_backend: Opener, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What a slow disk does with the journal's entry is cut off by nobody, and holds up no truth."""
    backend = await open_backend(tmp_path, copy_part_bytes=PART)
    ear, data = Ear(), data_of(PART + 1000)
    release, asked = asyncio.Event(), asyncio.Event()
    async with filesystem(backend, ear) as files:
        await put(files, "/source", data)
        await until(lambda: ear.heard)
        claim = backend.journal.claim

        async def claim_that_ends_slowly(key: str, **options: Any) -> object:
            entry = await claim(key, **options)
            done = entry.done

            async def slowly() -> None:
                asked.set()
                await release.wait()
                await done()

            monkeypatch.setattr(entry, "done", slowly)
            return entry

        monkeypatch.setattr(backend.journal, "claim", claim_that_ends_slowly)
        writer = await files.open_writer(F, WriteMode(truncate=True))
        if how == "written":
            await writer.write(0, data)
        else:
            reader = await files.open_reader(VirtualPath.parse(b"/source"))
            await files.copy(reader, 0, 0, writer, 0)
            await reader.close()
        closing = asyncio.create_task(writer.close())
        await asked.wait()
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await until(lambda: len(ear.heard) == 2)
        assert await s3.body("tenant/alice/f") == data
        release.set()
    assert journal_files(tmp_path) == []
