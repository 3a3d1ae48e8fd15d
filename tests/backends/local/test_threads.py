"""The event loop never waits for the disk, and a call that is cancelled leaves nothing open."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from pathlib import Path

import pytest

from s3sftp.backends import CompleteBackend, WriteIntent
from s3sftp.backends.contract import Finish
from s3sftp.backends.local.threads import DiskThreads
from s3sftp.errors import StorageError
from tests.backends.local.containment_tree import ALICE, place, serving
from tests.backends.storages import open_below, unfinished_in


async def test_the_event_loop_goes_on_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.get_ident()
    callers = set()
    enough = threading.Event()

    def slow(_: int) -> None:
        callers.add(threading.get_ident())
        assert enough.wait(20), "the event loop stands still"

    monkeypatch.setattr(os, "fsync", slow)
    async with serving(tmp_path, fsync=True) as backend:
        writing = asyncio.ensure_future(backend.write_file(place("file"), b"", ALICE))
        while not callers:
            await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not writing.done()
        enough.set()
        await writing
    assert main not in callers


async def test_no_call_touches_the_disk_in_the_thread_of_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.get_ident()
    here: list[str] = []

    def watch(name: str) -> None:
        call = getattr(os, name)

        def watched(*words: object, **more: object) -> object:
            if threading.get_ident() == main:
                here.append(name)
            return call(*words, **more)

        monkeypatch.setattr(os, name, watched)

    async with serving(tmp_path, "walk") as backend:
        for name in (
            "open",
            "close",
            "fstat",
            "stat",
            "pread",
            "pwrite",
            "link",
            "rename",
            "unlink",
            "mkdir",
        ):
            watch(name)
        await _everything(backend, "file")
        monkeypatch.undo()
    assert here == []


async def _everything(backend: CompleteBackend, name: str) -> None:
    """Each method once, on names that begin with `name`."""
    one, other = place(name), place(f"{name}-other")
    base = await backend.write_file(one, os.urandom(300_000), ALICE)
    await backend.read_file(one, ALICE)
    upload = await backend.begin_write(one, WriteIntent(base=base), ALICE)
    try:
        await backend.write_chunk(upload, bytes(upload.chunk_bytes), ALICE)
        await backend.keep_range(upload, 0, base.size, ALICE)
        await backend.finish_write(upload, b"tail", Finish(upload.chunk_bytes + base.size + 4), ALICE)
    except BaseException:
        await backend.abort_write(upload, ALICE)
        raise
    await backend.copy(one, other, ALICE, version=None)
    await backend.rename(one, other, ALICE, overwrite=True)
    await backend.set_mtime(other, 1.0, ALICE)
    await backend.make_dir(one, ALICE)
    _ = [page async for page in backend.list_dir(one, ALICE)]
    await backend.del_dir(one, ALICE)
    await backend.delete(other, ALICE)
    await backend.usage(one, ALICE)


@pytest.mark.parametrize("way", ["openat2", "walk", "named"])
async def test_calls_that_are_cancelled_leave_no_descriptor_and_no_upload(way: str, tmp_path: Path) -> None:
    todo = random.Random(4)
    async with serving(tmp_path, way, threads=3) as backend:
        await _everything(backend, "warm")
        before = open_below(tmp_path)
        for number in range(150):
            tasks = [
                asyncio.ensure_future(_work(backend, f"{number % 7}-{each}"))
                for each in range(todo.choice([1, 2, 5]))
            ]
            await asyncio.sleep(todo.random() * 0.01)
            for task in tasks:
                task.cancel()
                if todo.random() < 0.3:
                    await asyncio.sleep(0)
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert open_below(tmp_path) == before, number
        assert unfinished_in(tmp_path) == []


async def _work(backend: CompleteBackend, name: str) -> None:
    while True:
        upload = None
        try:
            await _everything(backend, name)
            upload = await backend.begin_write(place(name), WriteIntent(), ALICE)
            await asyncio.gather(
                *(backend.write_chunk(upload, bytes(upload.chunk_bytes), ALICE) for _ in range(2))
            )
        except StorageError:  # the one before was cancelled midway
            await asyncio.sleep(0)
        finally:
            if upload is not None:
                await backend.abort_write(upload, ALICE)


class TestThreads:
    async def test_no_more_calls_run_at_once_than_there_are_threads(self) -> None:
        threads = DiskThreads(2)
        running: list[int] = []
        most = 0
        pair = threading.Barrier(2)

        def work() -> None:
            nonlocal most
            running.append(1)
            most = max(most, len(running))
            pair.wait(20)
            running.pop()

        await asyncio.gather(*(threads.run(work) for _ in range(8)))
        await threads.stop()
        assert most == 2

    async def test_a_cancelled_call_ends_when_its_thread_has(self) -> None:
        threads = DiskThreads(1)
        cancelled, ended = threading.Event(), threading.Event()

        def work() -> None:
            cancelled.wait(20)
            ended.set()

        call = asyncio.ensure_future(threads.run(work))
        for _ in range(3):
            await asyncio.sleep(0.02)
            call.cancel()
        assert not call.done()
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended.is_set()
        await threads.stop()

    async def test_a_call_that_is_cancelled_in_the_line_never_runs(self) -> None:
        threads = DiskThreads(1)
        ran: list[str] = []
        cancelled = threading.Event()
        first = asyncio.ensure_future(threads.run(cancelled.wait, 20))
        second = asyncio.ensure_future(threads.run(ran.append, "second"))
        third = asyncio.ensure_future(threads.surely(lambda: ran.append("third")))
        await asyncio.sleep(0.02)
        second.cancel()
        third.cancel()
        await asyncio.wait([second])
        cancelled.set()
        await asyncio.gather(first, second, third, return_exceptions=True)
        await threads.stop()
        assert ran == ["third"]
