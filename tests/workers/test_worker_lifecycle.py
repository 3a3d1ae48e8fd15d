"""Workers die, are replaced, and end with their server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import asyncssh
import pytest

from testbed.s3_store import Store
from tests.cli.command_process import s3sftp, write_key_pair
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server
from tests.workers.test_serving import two
from tests.workers.worker_server import WorkerServer, alive, worker_server

EAGER_JANITOR = {"s3": {"janitor_interval": 1, "janitor_min_age": 0}}


@pytest.mark.parametrize("serving", [EAGER_JANITOR], indirect=True)
async def test_a_worker_that_is_killed_is_replaced_and_the_others_do_not_notice(
    serving: WorkerServer, s3: S3
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, second = await two(serving, stack)
        doomed, safe = await first.sftp(), await second.sftp()
        lost = await doomed.open("/lost", "wb")
        await lost.write(b"x" * (3 * PART_BYTES))
        kept = await safe.open("/kept", "wb")
        await kept.write(b"first, ")
        async with asyncio.timeout(20):
            while not await s3.multipart_uploads():
                await asyncio.sleep(0.05)
        dead = serving.pids()[1]
        serving.kill(1)
        await asyncio.wait_for(first.connection.wait_closed(), 20)
        await kept.write(b"last")
        await kept.close()
        assert await s3.body("alice/kept") == b"first, last"
        await serving.server.until(lambda: serving.pids()[1] != dead, "a new worker")
        await serving.all_ready()
        (ended,) = serving.server.events("worker.exited")
        assert (ended["worker"], ended["status"]) == (1, -signal.SIGKILL)
        async with serving.client() as third:
            assert await third.worker() == 1  # what the dead one had is counted out
            assert await (await third.sftp()).exists("/kept")
        async with asyncio.timeout(20):
            while await s3.multipart_uploads():
                await asyncio.sleep(0.1)
        assert await s3.keys() == ["alice/kept"]


@pytest.mark.parametrize("serving", [{"files": {"max_uploads_per_user": 1}}], indirect=True)
async def test_what_a_dead_worker_counted_is_forgotten(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, second = await two(serving, stack)
        await (await first.sftp()).open("/x", "wb")
        sftp = await second.sftp()
        with pytest.raises(asyncssh.SFTPError, match="too many uploads"):
            await sftp.open("/y", "wb")
        serving.kill(1)
        await serving.server.until(lambda: bool(serving.server.events("worker.exited")), "its end")
        await (await sftp.open("/y", "wb")).close()


def _stopping(serving: WorkerServer) -> int:
    """Processes that have said that they stop: the supervisor and its workers."""
    return serving.server.count("server.stopping") + serving.server.count("worker.stopping")


async def test_sigterm_lets_transfers_of_every_worker_finish_and_exits_with_0(
    serving: WorkerServer, s3: S3
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        files = [
            await (await client.sftp()).open(f"/{number}", "wb")
            for number, client in enumerate(await two(serving, stack))
        ]
        for file in files:
            await file.write(b"first, ")
        pids = serving.pids()
        serving.server.terminate()
        await serving.server.until(lambda: _stopping(serving) == 3, "all to be told")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", serving.server.port), timeout=5)
        for file in files:
            await file.write(b"last")
            await file.close()
        assert await serving.server.ended() == 0
        assert [await s3.body(f"alice/{number}") for number in range(2)] == [b"first, last"] * 2
        assert not [pid for pid in pids.values() if alive(pid)]
        assert not serving.server.events("worker.exited")
        assert not serving.server.events("worker.killed")


@pytest.mark.parametrize("again", [True, False], ids=["second signal", "limit"])
async def test_what_does_not_finish_is_cut_off_at_the_limit_or_by_a_second_signal(
    again: bool, seaweed: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    limit = {"server": {"drain_timeout": "60 s" if again else "500 ms"}}
    async with (
        worker_server(tmp_path, seaweed, bucket, limit) as serving,
        contextlib.AsyncExitStack() as stack,
    ):
        for client in await two(serving, stack):
            await (await (await client.sftp()).open("/x", "wb")).write(b"half")
        serving.server.terminate()
        await serving.server.until(lambda: _stopping(serving) == 3, "all to be told")
        if again:
            serving.server.terminate()
        assert await serving.server.ended(20) == 0
        assert serving.server.count("transfers.cut_off") == 2
        assert await s3.keys() == []


async def test_workers_end_when_their_supervisor_is_killed_and_let_transfers_finish(
    serving: WorkerServer, s3: S3
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, _ = await two(serving, stack)
        file = await (await first.sftp()).open("/x", "wb")
        pids = serving.pids()
        assert serving.server.process is not None
        os.kill(serving.server.process.pid, signal.SIGKILL)
        await serving.server.until(lambda: not alive(pids[2]), "the idle worker to end")
        assert alive(pids[1])
        await file.write(b"whole")
        await file.close()
        await serving.server.until(lambda: not alive(pids[1]), "the busy worker to end")
        assert await s3.body("alice/x") == b"whole"


async def test_a_signal_to_the_whole_group_is_one_request_to_stop(serving: WorkerServer) -> None:
    """As a terminal sends it on Ctrl-C, and systemd by default."""
    async with contextlib.AsyncExitStack() as stack:
        first, _ = await two(serving, stack)
        file = await (await first.sftp()).open("/x", "wb")
        assert serving.server.process is not None
        os.killpg(serving.server.process.pid, signal.SIGINT)
        await serving.server.until(lambda: _stopping(serving) == 3, "all to be told")
        await file.write(b"whole")
        await file.close()
        assert await serving.server.ended() == 0
        assert "KeyboardInterrupt" not in serving.server.output()


def _arguments(tmp_path: Path, *more: str) -> list[str]:
    write_key_pair(tmp_path / "key")
    return [
        *("serve", "--user", "alice", "--authorized-keys", f"{tmp_path}/key.pub"),
        *("--host", "127.0.0.1", "--port", "0", "--state-dir", f"{tmp_path}/state", *more),
    ]


def test_a_bucket_that_is_missing_ends_the_start_in_one_line(seaweed: Store, tmp_path: Path) -> None:
    environ = {"AWS_ACCESS_KEY_ID": seaweed.access_key, "AWS_SECRET_ACCESS_KEY": seaweed.secret_key}
    done = s3sftp(
        *_arguments(tmp_path, "s3://no-such-bucket", "--endpoint-url", seaweed.endpoint_url),
        *("--workers", "3"),
        **environ,
        S3SFTP_S3__ADDRESSING="path",
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("s3sftp: storage: ")
    assert done.stderr.count("worker.started") == 1


def test_a_port_in_use_is_told_before_any_worker_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = s3sftp(*_arguments(tmp_path, "s3://bucket", "--port", port, "--workers", "2"))
    assert done.returncode == 1
    assert f"s3sftp: cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr.splitlines()
    assert "worker.started" not in done.stderr


def test_files_in_memory_are_in_one_process_and_more_workers_are_a_mistake(tmp_path: Path) -> None:
    done = s3sftp(*_arguments(tmp_path, "--backend", "memory", "--workers", "2"))
    assert done.returncode == 2
    assert "server.workers = 2: the memory backend" in done.stderr


async def test_no_secret_is_in_the_command_line_or_the_environment_of_a_worker(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    server = Server(tmp_path / "server", seaweed, bucket, {"server": {"workers": 2}})
    try:
        await server.astart()
        for pid in [event["pid"] for event in server.events("worker.started")]:
            seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert seaweed.secret_key.encode() not in seen
            assert b"$argon2id$" not in seen
    finally:
        server.close()
