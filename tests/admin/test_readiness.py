"""Health of the real server: storage, workers, the way to the end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from time import monotonic

import asyncssh
import pytest

from testbed.s3_store import Store
from tests.admin.admin_client import AdminResponse, admin_port_of, ask, until
from tests.admin.admin_servers import connect, serving
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Delay, Hold
from tests.support.s3_client import S3
from tests.support.server import Server

EITHER = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])


def is_ready(said: AdminResponse) -> bool:
    return said.status == 200


def names(*reasons: str):  # type: ignore[no-untyped-def]
    """Whether exactly these are the reasons."""
    return lambda said: said.status == (503 if reasons else 200) and sorted(said.reasons) == sorted(reasons)


def pids(server: Server) -> dict[int, int]:
    """The process of each worker: the latest that was started."""
    return {event["worker"]: event["pid"] for event in server.events("worker.started")}


@EITHER
async def test_a_storage_that_goes_away_is_red_within_15_s_and_green_when_it_is_back(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with serving(tmp_path, proxied, bucket, workers) as server:
        port = admin_port_of(server)
        assert (await ask(port, "/readyz")).json == {"status": "ok", "reasons": [], "warnings": []}
        await proxy.down()
        gone = monotonic()
        said = await until(server, "/readyz", names("storage_unreachable"))
        assert monotonic() - gone <= 16
        detail = said.reasons["storage_unreachable"]
        for word in (bucket, proxy.url, "cannot be reached", "check its address and the network"):
            assert word in detail
        assert "\ns3sftp_ready 0.0\n" in (await ask(port, "/metrics")).body.decode()
        assert (await ask(port, "/livez")).status == 200  # a restart of ours would not bring it back
        await proxy.up()
        await until(server, "/readyz", is_ready, within=16)
        await server.until(lambda: len(server.events("server.ready")) == 2, "the log to tell")
        told = [event["reasons"] for event in server.events("server.not_ready")]
        assert told == [["storage_unreachable"]]


async def test_looks_are_one_request_in_ten_seconds_and_none_while_clients_have_answers(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, proxied, bucket, 2) as server:
        port = admin_port_of(server)
        async with await connect(server) as connection, connection.start_sftp_client() as sftp:
            await sftp.put(__file__, "/file")
            proxy.log.clear()
            began = monotonic()
            while monotonic() - began < 12:
                assert is_ready(await ask(port, "/readyz"))
                await sftp.utime("/file", (monotonic(), monotonic()))
                await asyncio.sleep(0.3)
            assert proxy.log.count("ListObjectsV2") == 0
        proxy.log.clear()
        began = monotonic()
        while monotonic() - began < 13:
            assert is_ready(await ask(port, "/readyz"))
            await asyncio.sleep(0.05)
        assert proxy.log.count("ListObjectsV2") == 1


async def test_a_role_that_may_not_list_any_more_is_named_with_what_it_lacks(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, proxied, bucket) as server:
        proxy.on("ListObjectsV2", do=Answer(403, "AccessDenied"))
        said = await until(server, "/readyz", names("storage_unreachable"))
        detail = said.reasons["storage_unreachable"]
        assert "AccessDenied" in detail
        assert f"bucket {bucket}" in detail
        assert "allow the server's role s3:ListBucket" in detail


@EITHER
async def test_a_permission_that_is_missing_is_a_warning_until_it_is_there(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with serving(tmp_path, proxied, bucket, workers) as server:
        port = admin_port_of(server)
        proxy.on("PutObject", do=Answer(403, "AccessDenied"), times=1)
        async with await connect(server) as connection, connection.start_sftp_client() as sftp:
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await sftp.put(__file__, "/file")
            said = await ask(port, "/readyz")
            assert is_ready(said)  # users who only read are served, and none of them may turn it off
            assert said.warnings == {
                "permission_denied": "S3 denies PutObject, and has allowed none since:"
                " allow the server's role s3:PutObject below the prefix"
            }
            await sftp.put(__file__, "/file")
        assert (await ask(port, "/readyz")).warnings == {}


async def test_a_storage_that_answers_nothing_is_red_too(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, proxied, bucket) as server:
        proxy.on("ListObjectsV2", do=Delay(60))
        said = await until(server, "/readyz", names("storage_unreachable"))
        assert "no answer in 5 s" in said.reasons["storage_unreachable"]


async def test_a_storage_that_is_down_at_the_start_is_said_and_waited_for(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    await proxy.down()
    async with serving(tmp_path, proxied, bucket) as server:
        assert names("storage_unreachable")(await ask(admin_port_of(server), "/readyz"))
        assert bucket in server.events("storage.unreachable")[0]["detail"]
        await proxy.up()
        await until(server, "/readyz", is_ready, within=16)


async def test_a_role_that_may_not_list_ends_the_start_with_what_it_lacks(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.on("ListObjectsV2", do=Answer(403, "AccessDenied"))
    server = Server(tmp_path / "server", proxied, bucket, {"admin": {"port": 0}})
    try:
        with pytest.raises(RuntimeError, match=f"bucket {bucket}.*allow the server's role s3:ListBucket"):
            await server.astart()
        assert await server.ended() == 1
    finally:
        server.close()


async def test_while_it_starts_it_is_alive_and_not_ready(
    proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    held = proxy.on("ListObjectsV2", do=Hold(), times=1)
    server = Server(tmp_path / "server", proxied, bucket, {"admin": {"port": 0}})
    try:
        starting = asyncio.create_task(server.astart())
        while not (server.process and server.events("admin.listening")):
            await asyncio.sleep(0.02)
        port = admin_port_of(server)
        assert names("starting")(await ask(port, "/readyz"))
        assert (await ask(port, "/livez")).status == 200
        await held.reached()
        held.release()
        await starting
        await until(server, "/readyz", is_ready)
    finally:
        server.close()


@EITHER
async def test_sigterm_is_red_at_once_and_clients_are_served_for_the_delay(
    seaweed: Store, bucket: str, s3: S3, tmp_path: Path, workers: int
) -> None:
    async with serving(tmp_path, seaweed, bucket, workers, {"server": {"drain_delay": "4 s"}}) as server:
        port = admin_port_of(server)
        async with await connect(server) as early, early.start_sftp_client() as sftp:
            file = await sftp.open("/early", "wb")
            await file.write(b"begun before, ")
            server.terminate()
            began = monotonic()
            said = await until(server, "/readyz", names("draining"), every=0.01)
            assert monotonic() - began < 2
            assert said.json["status"] == "not ready"
            async with await connect(server) as late, late.start_sftp_client() as other:
                async with other.open("/late", "wb") as whole:
                    await whole.write(b"whole")
                assert names("draining")(await ask(port, "/readyz"))
            await server.until(lambda: bool(server.events("server.stopping")), "the end of the delay")
            assert monotonic() - began >= 4
            with pytest.raises(OSError):  # noqa: PT011
                await connect(server)
            assert names("draining")(await ask(port, "/readyz"))
            assert (await ask(port, "/livez")).status == 200
            await file.write(b"finished after")
            await file.close()
        assert await server.ended() == 0
    assert await s3.body("alice/early") == b"begun before, finished after"
    assert await s3.body("alice/late") == b"whole"


@EITHER
async def test_a_second_signal_ends_the_delay(
    seaweed: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with serving(tmp_path, seaweed, bucket, workers, {"server": {"drain_delay": "10 min"}}) as server:
        server.terminate()
        await until(server, "/readyz", names("draining"))
        server.terminate()
        assert await server.ended() == 0


async def test_without_a_delay_the_end_begins_at_once(seaweed: Store, bucket: str, tmp_path: Path) -> None:
    async with serving(tmp_path, seaweed, bucket) as server:
        server.terminate()
        assert await server.ended() == 0
        assert not server.events("server.draining")


async def test_a_worker_that_is_killed_is_a_warning_and_without_any_the_server_is_not_ready(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, seaweed, bucket, 2) as server:
        port = admin_port_of(server)
        os.kill(pids(server)[1], signal.SIGKILL)
        said = await until(server, "/readyz", lambda said: bool(said.warnings), every=0.02)
        assert is_ready(said)
        assert "1 of 2 workers serve" in said.warnings["workers_missing"]
        await until(server, "/readyz", lambda said: not said.warnings)
        for pid in pids(server).values():
            os.kill(pid, signal.SIGKILL)
        said = await until(server, "/readyz", names("no_worker_ready"), every=0.02)
        assert "0 of 2 workers serve" in said.reasons["no_worker_ready"]
        assert (await ask(port, "/livez")).status == 200
        await until(server, "/readyz", is_ready)


async def test_workers_that_hang_are_named_and_replaced_without_a_restart(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, seaweed, bucket, 2, {"server": {"worker_timeout": "6 s"}}) as server:
        hung = dict(pids(server))
        os.kill(hung[2], signal.SIGSTOP)
        said = await until(server, "/livez", lambda said: bool(said.warnings))
        assert said.status == 200
        assert "worker 2 has not answered" in said.warnings["worker_hangs"]
        assert is_ready(await ask(admin_port_of(server), "/readyz"))
        os.kill(hung[1], signal.SIGSTOP)
        said = await until(server, "/readyz", names("no_worker_ready"))
        assert (await ask(admin_port_of(server), "/livez")).status == 200
        await until(server, "/readyz", lambda said: is_ready(said) and not said.warnings)
        assert not set(hung.values()) & set(pids(server).values())


async def test_a_storage_is_not_blamed_for_the_worker_that_was_asked(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, seaweed, bucket, 2, {"server": {"worker_timeout": "2 min"}}) as server:
        assert is_ready(await ask(admin_port_of(server), "/readyz"))
        os.kill(pids(server)[1], signal.SIGSTOP)
        began = monotonic()
        while monotonic() - began < 18:
            said = await ask(admin_port_of(server), "/readyz")
            assert is_ready(said), said
            await asyncio.sleep(0.2)
        os.kill(pids(server)[1], signal.SIGCONT)


async def test_who_floods_the_port_disturbs_no_session_and_no_health(
    seaweed: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with serving(tmp_path, seaweed, bucket) as server:
        port = admin_port_of(server)
        flooding = True

        async def flood() -> None:
            held = []
            while flooding:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"GET /readyz HTTP/1.1\r\nA: " + b"x" * 2000)
                    held.append((reader, writer))
                except OSError:
                    await asyncio.sleep(0.01)
                while len(held) > 100:
                    held.pop(0)[1].close()
            for _, writer in held:
                writer.close()

        floods = [asyncio.create_task(flood()) for _ in range(4)]
        content = os.urandom(8 << 20)
        async with await connect(server) as connection, connection.start_sftp_client() as sftp:
            for number in range(3):
                async with sftp.open(f"/file{number}", "wb") as file:
                    await file.write(content)
                assert (await ask(port, "/livez")).status == 200
        flooding = False
        await asyncio.gather(*floods)
        assert await s3.body("alice/file2") == content


async def test_it_listens_on_loopback_unless_told_otherwise_and_not_at_all_unless_told(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, seaweed, bucket) as server:
        assert server.events("admin.listening")[0]["host"] == "127.0.0.1"
        assert _listening_on(admin_port_of(server)) == {"0100007F"}
    server = Server(tmp_path / "other", seaweed, bucket)
    try:
        await server.astart()
        assert not server.events("admin.listening")
    finally:
        server.close()


def _listening_on(port: int) -> set[str]:
    """The addresses that somebody listens on, as the kernel writes them."""
    lines = [
        *Path("/proc/net/tcp").read_text().splitlines(),
        *Path("/proc/net/tcp6").read_text().splitlines(),
    ]
    fields = [line.split() for line in lines]
    return {each[1].split(":")[0] for each in fields if each[1].endswith(f":{port:04X}") and each[3] == "0A"}
