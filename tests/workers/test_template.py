"""Workers are forked from a template that has imported everything, and outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.limits.test_idle_memory import with_descendants
from tests.workers.worker_server import WorkerServer, alive, worker_server


def template_of(serving: WorkerServer) -> int:
    """The process that workers are forked from."""
    assert serving.server.process is not None
    others = set(with_descendants(serving.server.process.pid)) - {serving.server.process.pid}
    (found,) = others - set(serving.pids().values())
    return found


async def wake_template(serving: WorkerServer) -> None:
    """Have a worker replaced: its successor needs a template, which stays."""
    before = serving.pids()
    serving.kill(2)
    await serving.server.until(lambda: serving.pids()[2] != before[2], "a new worker", 60)
    await serving.all_ready()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_the_template_rests_while_no_worker_is_needed(serving: WorkerServer) -> None:
    assert serving.server.process is not None
    supervisor = serving.server.process.pid
    everybody = {supervisor, *serving.pids().values()}
    await serving.server.until(lambda: set(with_descendants(supervisor)) == everybody, "the template to rest")
    await wake_template(serving)
    assert template_of(serving)
    async with serving.client() as first, serving.client() as second:
        assert {await first.worker(), await second.worker()} == {1, 2}
    assert not serving.server.events("template.exited")


async def test_workers_are_children_of_the_supervisor_and_have_no_descriptor_of_each_other(
    serving: WorkerServer,
) -> None:
    assert serving.server.process is not None
    supervisor = serving.server.process.pid
    await wake_template(serving)
    template = template_of(serving)
    ends: list[set[str]] = []
    for number, pid in serving.pids().items():
        assert parent_of(pid) == supervisor
        assert Path(f"/proc/{pid}/comm").read_text() == f"s3sftp-worker-{number}\n"
        links = {os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")}
        ends.append({link for link in links if link.startswith("socket:")})
    held = {os.readlink(f"/proc/{template}/fd/{each}") for each in os.listdir(f"/proc/{template}/fd")}
    assert len([each for each in held if each.startswith("socket:")]) == 1, "its own requests alone"
    assert not ends[0] & ends[1]
    assert not (ends[0] | ends[1]) & held


async def test_a_template_that_is_killed_takes_nobody_along_and_the_next_worker_comes_from_another(
    serving: WorkerServer,
) -> None:
    await wake_template(serving)
    async with serving.client() as client:
        sftp = await client.sftp()
        killed, before = template_of(serving), serving.pids()
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(20):
            while alive(killed):
                await asyncio.sleep(0.05)
        assert await sftp.realpath(".") == "/"
        other = 3 - await client.worker()
        serving.kill(other)
        await serving.server.until(lambda: serving.pids()[other] != before[other], "a new worker", 60)
        await serving.all_ready()
        assert await sftp.realpath(".") == "/"
        assert template_of(serving) != killed
        assert [event["pid"] for event in serving.server.events("template.exited")] == [killed]
        assert len(serving.server.events("worker.exited")) == 2
    async with serving.client() as first, serving.client() as second:
        assert {await first.worker(), await second.worker()} == {1, 2}
    serving.server.terminate()
    assert await serving.server.ended() == 0


async def test_nothing_is_left_of_a_server_that_has_ended_or_was_killed(serving: WorkerServer) -> None:
    assert serving.server.process is not None
    await wake_template(serving)
    everybody = with_descendants(serving.server.process.pid)
    assert len(everybody) == 4
    serving.server.kill()
    await serving.server.until(lambda: not any(map(alive, everybody)), "all to be gone")


async def test_a_signal_to_the_whole_group_ends_no_template_and_no_worker(serving: WorkerServer) -> None:
    assert serving.server.process is not None
    await wake_template(serving)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        for pid in set(with_descendants(serving.server.process.pid)) - {serving.server.process.pid}:
            os.kill(pid, number)
    async with serving.client() as client:
        await (await client.sftp()).realpath(".")
    assert len(serving.server.events("worker.exited")) == 1
    assert not serving.server.events("template.exited")


async def test_workers_that_end_again_and_again_leave_no_zombies(serving: WorkerServer) -> None:
    assert serving.server.process is not None
    for _ in range(3):
        before = serving.pids()
        serving.kill(1)
        await serving.server.until(lambda old=before[1]: serving.pids()[1] != old, "a new worker")  # type: ignore[misc]
        await serving.all_ready()
    assert len(with_descendants(serving.server.process.pid)) == 4


async def test_where_the_command_has_threads_the_template_is_a_program_from_the_start(
    seaweed: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork would copy the locks that other threads hold."""
    lines = ("import threading", "threading.Thread(target=threading.Event().wait, daemon=True).start()")
    (tmp_path / "sitecustomize.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with worker_server(tmp_path, seaweed, bucket) as serving:
        await wake_template(serving)
        command = Path(f"/proc/{template_of(serving)}/cmdline").read_bytes().split(b"\0")
        assert b"template" in command
        async with serving.client() as client:
            assert await (await client.sftp()).realpath(".") == "/"
        serving.server.terminate()
        assert await serving.server.ended() == 0


async def test_a_template_that_hangs_does_not_hold_up_the_end(serving: WorkerServer) -> None:
    await wake_template(serving)
    os.kill(template_of(serving), signal.SIGSTOP)
    serving.server.terminate()
    assert await serving.server.ended() == 0


async def test_workers_are_replaced_though_the_directory_of_the_start_is_gone(
    seaweed: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    async with worker_server(tmp_path, seaweed, bucket) as serving:
        (tmp_path / "gone").rmdir()
        before = serving.pids()
        serving.kill(1)
        await serving.server.until(lambda: serving.pids()[1] != before[1], "a new worker", 60)
        await serving.all_ready()
