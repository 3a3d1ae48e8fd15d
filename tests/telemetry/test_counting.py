"""What really happens is counted: a real server, real clients, a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from s3sftp import AuthOptions, FileOptions, Server, SshOptions, StaticUsers
from s3sftp.backends.s3 import S3Backend
from s3sftp.telemetry.metrics import Metrics
from testbed.s3_store import Store
from tests.backends.s3.conftest import options_for
from tests.embedding.password_clients import PASSWORD, connect, openssh, server_of, write
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Foreign
from tests.support.parsed_metrics import Numbers, of, promtool

SIZE = 12_000_000
"""Three parts."""


@pytest.fixture
async def server(proxied: Store, bucket: str, tmp_path: Path) -> AsyncIterator[Server]:
    metrics = Metrics()
    backend = S3Backend(options_for(proxied, bucket), tmp_path / "state", metrics=metrics)
    logins = AuthOptions(refusal_time=0.1)  # type: ignore[arg-type]  # as a configuration has it
    async with server_of(backend, metrics=metrics, logins=logins) as running:
        yield running


@asynccontextmanager
async def client(server: Server, **options: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with await connect(server.port, **options) as connection:
        yield connection


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def results(said: Numbers, operation: str) -> dict[str, int]:
    """What was answered to one kind of request."""
    return {
        dict(labels)["result"]: int(value)
        for (name, labels), value in said.samples.items()
        if name == "s3sftp_operations_total" and ("operation", operation) in labels and value
    }


async def test_a_file_put_and_got_and_listed_is_in_every_number(server: Server, tmp_path: Path) -> None:
    data = bytes(range(256)) * (SIZE // 256)
    local, back = write(tmp_path / "local", data), tmp_path / "back"
    (await openssh(server.port, f"put {local} file", "ls -l", f"get file {back}")).ok()
    (await openssh(server.port, "get missing")).failed()
    (await openssh(server.port, "ls", password="wrong")).failed()
    await until(lambda: server.connections == 0)
    said = of(server.metrics)
    assert said("logins_total", method="password", result="accepted") == 2
    assert said("logins_total", method="password", result="failed") == 1
    assert said("connections_total", result="accepted") == 3
    assert (said("connections"), said("sessions")) == (0, 0)
    assert said("received_bytes_total") == said("sent_bytes_total") == len(data)
    assert said("transfers_total", direction="upload", result="committed", reason="closed") == 1
    assert said("transfers_total", direction="download", result="committed", reason="closed") == 1
    assert said("transfers_total") == 2
    assert said("operations_total", operation="close", result="ok") == 3
    assert set(results(said, "write")) == {"ok"}
    assert results(said, "readdir") == {"ok": 1, "eof": 1}
    assert results(said, "lstat") | results(said, "stat") != {}
    assert sum(
        count for name in ("stat", "lstat") for result, count in results(said, name).items() if result != "ok"
    )
    for name in ("read", "write", "open", "close", "opendir"):
        times = said("operation_duration_seconds_count", operation=name)
        assert times == said("operations_total", operation=name) > 0
        assert 0 < said("operation_duration_seconds_sum", operation=name) < 60
    for name in ("stat", "lstat", "readdir"):
        by_result = results(said, name)
        fine = by_result.get("ok", 0) + by_result.get("eof", 0)
        assert said("operation_duration_seconds_count", operation=name, result="ok") == fine
        failed = sum(by_result.values()) - fine
        assert said("operation_duration_seconds_count", operation=name, result="error") == failed
    assert said("open_handles") == 0
    assert said("s3_requests_total", api="UploadPart", result="ok") == 3
    assert said("s3_requests_total", api="CompleteMultipartUpload", result="ok") == 1
    assert said("s3_cost_dollars_total") > 6 * 0.005 / 1000
    assert (said("s3_retries_total"), said("s3_throttles_total")) == (0, 0)
    assert said("buffer_limit_bytes") == FileOptions().buffer_bytes
    assert promtool(server.metrics.render()[0]) == ""


async def test_what_is_open_is_shown_while_it_is(server: Server) -> None:
    async with client(server) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/read", "wb") as file:
            await file.write(b"content")
        writing, reading = await sftp.open("/write", "wb"), await sftp.open("/read", "rb")
        await writing.write(b"x" * 100_000)
        said = of(server.metrics)
        assert (said("connections"), said("sessions")) == (1, 1)
        assert said("open_handles", kind="write") == said("open_handles", kind="read") == 1
        await until(lambda: of(server.metrics)("buffered_bytes") >= 100_000)
        await writing.close()
        await reading.close()
        assert of(server.metrics)("open_handles") == 0
    await until(lambda: of(server.metrics)("sessions") == 0)
    await until(lambda: of(server.metrics)("buffered_bytes") == 0)


async def test_a_client_that_leaves_has_aborted_its_files_and_has_nothing_open(server: Server) -> None:
    async with client(server) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/stored", "wb") as file:
            await file.write(b"content")
        await sftp.open("/stored", "rb")
        await (await sftp.open("/half", "wb")).write(b"half")
        removed = await sftp.open("/removed", "wb")
        await removed.write(b"gone")
        await sftp.remove("/removed")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await removed.close()
    await until(lambda: of(server.metrics)("sessions") == 0)
    said = of(server.metrics)
    for direction in ("upload", "download"):
        assert said("transfers_total", direction=direction, result="aborted", reason="client_closed") == 1
    assert said("transfers_total", direction="upload", result="aborted", reason="removed") == 1
    assert said("transfers_total", result="committed") == 1
    assert said("open_handles") == 0


async def test_a_stopping_server_has_ended_the_sessions(server: Server) -> None:
    async with client(server) as connection:
        sftp = await connection.start_sftp_client()
        await (await sftp.open("/half", "wb")).write(b"half")
        await server.stop()
    said = of(server.metrics)
    assert said("transfers_total", direction="upload", result="aborted", reason="session_ended") == 1
    assert (said("sessions"), said("open_handles"), said("connections")) == (0, 0, 0)


async def test_requests_that_are_refused_are_told_apart_from_the_store_s_own_failures(
    server: Server, proxy: FaultProxy
) -> None:
    async with client(server) as connection, connection.start_sftp_client() as sftp:
        proxy.on("HeadObject", do=Answer(503, "SlowDown"), times=1)
        proxy.on("ListObjectsV2", do=Foreign(), times=1)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat("/missing")
        proxy.on("PutObject", do=Answer(403, "AccessDenied"), times=1)
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            async with sftp.open("/denied", "wb") as file:
                await file.write(b"x")
        proxy.on("PutObject", do=Answer(500, "InternalError"))
        with pytest.raises(asyncssh.SFTPFailure):
            async with sftp.open("/broken", "wb") as file:
                await file.write(b"x")
    said = of(server.metrics)
    assert said("s3_requests_total", api="HeadObject", result="throttled") == said("s3_throttles_total") == 1
    assert said("s3_requests_total", api="ListObjectsV2", result="no_answer") == 1
    assert said("s3_requests_total", api="PutObject", result="client_error") == 1
    assert said("s3_requests_total", api="PutObject", result="server_error") == 3
    assert said("s3_retries_total") == 1 + 1 + 2
    assert said("transfers_total", result="failed", reason="permission_denied") == 1
    assert said("transfers_total", result="failed", reason="storage_failure") == 1
    assert results(said, "close") == {"permission_denied": 1, "failure": 1}
    assert results(said, "stat") == {"no_such_file": 1}


async def test_logins_by_each_method_and_what_became_of_them(proxied: Store, bucket: str) -> None:
    class Broken(StaticUsers):
        async def by_password(self, user: str, password: str, address: str):  # type: ignore[no-untyped-def]
            if user == "nobody":
                raise RuntimeError("the directory is down")
            return await super().by_password(user, password, address)

    users, logins = Broken({"alice": PASSWORD}), AuthOptions(refusal_time=0.1)  # type: ignore[arg-type]
    options = SshOptions(max_connections_per_user=1)
    async with server_of(auth=users, logins=logins, ssh=options) as server:
        async with client(server):
            with pytest.raises(asyncssh.Error):
                async with client(server) as connection:
                    await connection.start_sftp_client()
        with pytest.raises(asyncssh.PermissionDenied):
            async with client(server, user="nobody"):
                pass
        await until(lambda: server.connections == 0)
        said = of(server.metrics)
    found = {result: said("logins_total", result=result) for result in ("accepted", "refused", "error")}
    assert found == {"accepted": 1, "refused": 1, "error": 1}


async def test_connections_beyond_a_limit_are_refused(proxied: Store, bucket: str) -> None:
    async with server_of(ssh=SshOptions(max_connections=1)) as server:
        async with client(server):
            with pytest.raises((asyncssh.Error, OSError)):
                async with client(server):
                    pass
        said = of(server.metrics)
    assert said("connections_total", result="accepted") == said("connections_total", result="refused") == 1


async def test_copying_within_the_server_is_no_traffic_of_the_client(server: Server) -> None:
    async with client(server) as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("/a", "wb") as file:
            await file.write(b"x" * 1000)
        async with sftp.open("/a", "rb") as source, sftp.open("/b", "wb") as target:
            await target.write(b"y")
            await sftp._handler.copy_data(source._handle, 0, 0, target._handle, 1)
    said = of(server.metrics)
    assert (said("received_bytes_total"), said("sent_bytes_total")) == (1001, 0)


async def test_a_pause_of_the_event_loop_is_seen(server: Server) -> None:
    import time

    await asyncio.sleep(0.25)
    time.sleep(0.6)  # everybody stands still
    await until(lambda: of(server.metrics)("event_loop_lag_seconds", worker="1") > 0.2)


async def test_two_servers_in_one_process_count_for_themselves() -> None:
    async with server_of() as one, server_of() as two:
        async with client(one):
            pass
        await until(lambda: one.connections == 0)
        counted = [of(each.metrics)("connections_total", result="accepted") for each in (one, two)]
    assert counted == [1, 0]
