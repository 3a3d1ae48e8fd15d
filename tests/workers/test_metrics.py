"""Workers count together, and what a dead one has counted is not forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import urllib.request
from collections.abc import Callable

import asyncssh
import pytest

from tests.support.parsed_metrics import Numbers, SharedMetrics, promtool
from tests.workers.test_serving import two
from tests.workers.worker_server import WORKERS, WorkerServer

SIZE = 100_000


async def until(metrics: SharedMetrics, condition: Callable[[Numbers], bool]) -> Numbers:
    async with asyncio.timeout(20):
        while not condition(said := metrics.read()):
            await asyncio.sleep(0.05)
    return said


def metrics_of(serving: WorkerServer) -> SharedMetrics:
    assert serving.server.process is not None
    return SharedMetrics(serving.server.process.pid, WORKERS)


async def test_what_two_workers_do_is_summed(serving: WorkerServer) -> None:
    metrics = metrics_of(serving)
    async with contextlib.AsyncExitStack() as stack:
        for number, client in enumerate(await two(serving, stack)):
            sftp = await client.sftp()
            async with sftp.open(f"/file{number}", "wb") as file:
                await file.write(b"x" * SIZE)
            async with sftp.open(f"/file{number}", "rb") as file:
                assert len(await file.read()) == SIZE
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.stat("/missing")
            assert await sftp.listdir("/")
        said = metrics.read()
        assert (said("connections"), said("sessions"), said("workers")) == (2, 2, 2)
        with pytest.raises(asyncssh.PermissionDenied):
            await serving.connect(client_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    said = await until(
        metrics,
        lambda now: (
            (now("connections"), now("sessions"), now("open_handles"), now("logins_total")) == (0, 0, 0, 3)
        ),
    )
    assert said("logins_total", method="publickey", result="accepted") == 2
    assert said("logins_total", method="publickey", result="failed") == 1
    assert said("received_bytes_total") == said("sent_bytes_total") == 2 * SIZE
    assert said("transfers_total", direction="upload", result="committed") == 2
    assert said("transfers_total", direction="download", result="committed") == 2
    assert said("operations_total", operation="stat", result="no_such_file") == 2
    assert said("s3_requests_total", api="PutObject", result="ok") == 2
    assert said("users") == 1
    assert said("buffer_limit_bytes") > 0
    assert said("worker_restarts_total") == 0


async def test_no_counter_falls_when_a_worker_is_killed_and_what_it_had_open_is_gone(
    serving: WorkerServer,
) -> None:
    metrics = metrics_of(serving)
    async with contextlib.AsyncExitStack() as stack:
        first, second = await two(serving, stack)
        for client in (first, second):
            sftp = await client.sftp()
            async with sftp.open("/stored", "wb") as file:
                await file.write(b"x" * SIZE)
            await sftp.open("/empty", "wb")  # not for reading: how much that fetches depends on time
            await (await sftp.open("/half", "wb")).write(b"x" * SIZE)
        before = await until(metrics, lambda now: now("buffered_bytes") >= 2 * SIZE)
        assert before("open_handles") == 4
        ended = serving.pids()[1]
        serving.kill(1)
        await asyncio.wait_for(first.connection.wait_closed(), 20)
        await serving.server.until(lambda: serving.pids()[1] != ended, "a new worker")
        await serving.all_ready()
        after = await until(metrics, lambda now: now("buffer_limit_bytes") == before("buffer_limit_bytes"))
        assert after.fallen_since(before) == []
        assert after("received_bytes_total") == before("received_bytes_total") == 4 * SIZE
        assert (after("connections"), after("sessions"), after("open_handles")) == (1, 1, 2)
        assert after("buffered_bytes") == SIZE
        assert after("worker_restarts_total") == 1
        async with serving.client() as third:
            assert await third.worker() == 1  # the successor goes on where the dead one stopped
            async with (await third.sftp()).open("/more", "wb") as file:
                await file.write(b"x" * SIZE)
            last = metrics.read()
            assert last("received_bytes_total") == 5 * SIZE
            assert last.fallen_since(after) == []
            assert last("connections") == 2


@pytest.mark.parametrize(
    "serving",
    [{"listen": {"proxy_protocol": "required", "proxy_sources": ["127.0.0.2"]}}],
    indirect=True,
)
async def test_what_the_supervisor_refuses_is_counted_too(serving: WorkerServer) -> None:
    metrics = metrics_of(serving)
    with pytest.raises((asyncssh.Error, OSError)):
        await serving.connect()
    with pytest.raises((asyncssh.Error, OSError)):  # trusted, and sends no header
        await serving.connect(source="127.0.0.2")
    said = await until(metrics, lambda now: now("connections_total", result="refused") == 2)
    assert said("connections_total", result="accepted") == 0


@pytest.mark.parametrize("serving", [{"admin": {"port": 0}}], indirect=True)
async def test_the_admin_port_has_the_metrics_of_all_workers(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for client in await two(serving, stack):
            await (await client.sftp()).listdir("/")
        (listening,) = serving.server.events("admin.listening")
        page = f"http://127.0.0.1:{listening['port']}/metrics"

        def get() -> tuple[bytes, str]:
            with urllib.request.urlopen(page, timeout=20) as answer:
                return answer.read(), answer.headers["Content-Type"]

        text, kind = await asyncio.to_thread(get)
    assert kind.startswith("text/plain; version=0.0.4")
    said = Numbers(text)
    assert (said("workers"), said("workers_ready"), said("ready")) == (2, 2, 1)
    assert (said("sessions"), said("connections")) == (2, 2)
    assert said("operations_total", operation="opendir", result="ok") == 2
    assert promtool(text) == ""


@pytest.mark.parametrize(
    "serving", [{"admin": {"port": 0}, "server": {"worker_timeout": "60 s"}}], indirect=True
)
async def test_a_worker_that_hangs_is_none_that_is_ready(serving: WorkerServer) -> None:
    (listening,) = serving.server.events("admin.listening")
    page = f"http://127.0.0.1:{listening['port']}/metrics"

    def ready() -> float:
        with urllib.request.urlopen(page, timeout=20) as answer:
            return Numbers(answer.read())("workers_ready")

    os.kill(serving.pids()[1], signal.SIGSTOP)
    await serving.server.until(lambda: bool(serving.server.events("worker.unresponsive")), "a miss")
    assert await asyncio.to_thread(ready) == 1
    os.kill(serving.pids()[1], signal.SIGCONT)
    await serving.server.until(lambda: bool(serving.server.events("worker.recovered")), "an answer")
    assert await asyncio.to_thread(ready) == 2
