"""The file: whole lines, accepted only when they are on the disk, and no more than one attempt at once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.sinks.failures import DeliveryFailed
from s3sftp.events.sinks.file_sink import FileSink
from s3sftp.events.sinks.options import FileSinkOptions
from tests.events.sinks.samples import sample

APPENDER = """
import asyncio, sys
from pathlib import Path
from tests.events.sinks.samples import sample
from s3sftp.events.sinks import make_sink
from s3sftp.events.sinks.options import FileSinkOptions

async def main():
    sink = make_sink("audit", FileSinkOptions(type="file", file=Path(sys.argv[1]), time_limit=60))
    await sink.start()
    for number in range(40):
        batch = [sample(id=f"{sys.argv[2]}-{number}-{each}", size=2000) for each in range(5)]
        assert await sink.deliver(batch) == [None] * 5
    await sink.close()

asyncio.run(main())
"""


@asynccontextmanager
async def sink_at(file: Path, time_limit: float = 60) -> AsyncIterator[FileSink]:
    sink = FileSink("file", FileSinkOptions(type="file", file=file, time_limit=time_limit))
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


def ids_in(file: Path) -> list[str]:
    return [json.loads(line)["id"] for line in file.read_bytes().splitlines()]


async def test_each_event_is_a_line_of_json(tmp_path: Path) -> None:
    events = [sample(id="a"), sample(id="b", subject="/in/zwölf\n.csv")]
    async with sink_at(tmp_path / "events.jsonl") as sink:
        assert await sink.deliver(events) == [None, None]
    lines = (tmp_path / "events.jsonl").read_bytes().split(b"\n")
    assert [CloudEvent.from_json(line) for line in lines[:-1]] == events
    assert lines[-1] == b""


async def test_a_rotated_file_is_opened_anew_under_its_name(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    async with sink_at(file) as sink:
        await sink.deliver([sample(id="before")])
        file.rename(tmp_path / "events.jsonl.1")
        await sink.deliver([sample(id="after")])
    assert (ids_in(tmp_path / "events.jsonl.1"), ids_in(file)) == (["before"], ["after"])


async def test_what_is_accepted_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, synced = tmp_path / "events.jsonl", []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", noted)
    async with sink_at(file) as sink:
        await sink.deliver([sample()])
    assert synced == [file.stat().st_size]


async def test_a_failure_is_told_and_the_next_attempt_succeeds(tmp_path: Path) -> None:
    file = tmp_path / "later" / "events.jsonl"
    async with sink_at(file) as sink:
        [failure, other] = await sink.deliver([sample(), sample()])
        assert isinstance(failure, DeliveryFailed)
        assert isinstance(other, DeliveryFailed)
        assert str(failure) == f"cannot write {file}: No such file or directory"
        file.parent.mkdir()
        assert await sink.deliver([sample(id="a")]) == [None]
    assert ids_in(file) == ["a"]


async def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"id": "cut o')
    async with sink_at(file) as sink:
        await sink.deliver([sample(id="whole")])
    assert file.read_bytes().startswith(b'{"id": "cut o\n{')


async def test_a_pipe_is_refused_without_waiting_for_a_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with sink_at(tmp_path / "pipe") as sink:
        [failure] = await sink.deliver([sample()])
    assert isinstance(failure, DeliveryFailed)


async def test_behind_an_attempt_that_hangs_deliveries_fail_without_more_threads(tmp_path: Path) -> None:
    release, begun = threading.Event(), []
    async with sink_at(tmp_path / "events.jsonl", time_limit=0.05) as sink:
        append = sink._append

        def hangs(data: bytes) -> None:
            begun.append(data)
            release.wait()
            append(data)

        sink._append = hangs  # type: ignore[method-assign]
        threads = threading.active_count()
        for _ in range(5):
            [failure] = await sink.deliver([sample()])
            assert isinstance(failure, DeliveryFailed)
            assert "was not written within 0.05 s" in str(failure)
        while not begun:  # on a busy machine the thread may still be waiting for its turn
            await asyncio.sleep(0.01)
        assert (threading.active_count(), len(begun)) == (threads, 1)
        release.set()
        while not isinstance(sink._attempt, asyncio.Future) or not sink._attempt.done():
            await asyncio.sleep(0.01)
        sink._append, sink._limit = append, 60  # type: ignore[method-assign]
        assert await sink.deliver([sample(id="again")]) == [None]
    # of the five deliveries, only the first was ever an attempt
    assert ids_in(tmp_path / "events.jsonl") == [sample().id, "again"]


async def test_a_delivery_that_is_cancelled_leaves_whole_lines(tmp_path: Path) -> None:
    entered, release = threading.Event(), threading.Event()
    async with sink_at(tmp_path / "events.jsonl") as sink:
        append = sink._append

        def slow(data: bytes) -> None:
            entered.set()
            release.wait()
            append(data)

        sink._append = slow  # type: ignore[method-assign]
        task: asyncio.Task[Any] = asyncio.ensure_future(sink.deliver([sample(id="a")]))
        while not entered.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        sink._append = append  # type: ignore[method-assign]
        release.set()
        await sink.deliver([sample(id="b")])
    assert ids_in(tmp_path / "events.jsonl") == ["a", "b"]


def test_processes_append_to_one_file_without_mixing_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    command = [sys.executable, "-c", APPENDER, str(file)]
    processes = [subprocess.Popen([*command, name]) for name in ("x", "y", "z")]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = ids_in(file)
    assert len(found) == len(set(found)) == 600
    for name in ("x", "y", "z"):
        assert [each for each in found if each.startswith(name)] == [
            f"{name}-{number}-{each}" for number in range(40) for each in range(5)
        ]
