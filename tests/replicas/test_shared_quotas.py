"""Replicas that share a quota through a table: real clients fill it from both, and never exceed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from aiohttp import web

from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of, ask, until
from tests.support.aws_users import Relay, errs, running_relay
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.s3_client import s3_client
from tests.support.server import USER, Server
from tests.support.shared_table import SharedTable

MIB = 1 << 20
QUOTA: dict[str, object] = {"bytes": "40 MiB"}


@pytest.fixture
def table(moto: Store, monkeypatch: pytest.MonkeyPatch) -> SharedTable:
    """A table that the credentials in the servers' environment open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return SharedTable(moto)


class Two:
    """Two replicas, one of a single process, the other with two workers, with their table behind a relay."""

    def __init__(self, servers: tuple[Server, Server], relay: Relay, directory: Path) -> None:
        self.servers = servers
        self.relay = relay
        self.clients = [Clients(each, directory / f"home-{at}") for at, each in enumerate(servers)]

    def asked(self) -> list[dict[str, Any]]:
        """The requests about quotas."""
        return [each for each in self.relay.asked if each.get("Key", {}).get("pk") == {"S": "quotas"}]

    async def stored(self) -> list[int]:
        """The sizes of the files that are stored, in MiB."""
        async with s3_client(self.servers[0].store, self.servers[0].bucket) as s3:
            keys = [key for key in await s3.keys(f"{USER}/") if not key.endswith("/")]
            return [len(await s3.body(key)) // MIB for key in keys]

    async def used(self, at: int) -> int:
        """What a replica's df says is used, in MiB."""
        (line,) = (await self.clients[at].sftp("df /")).ok().text.splitlines()[-1:]
        total, used, *_ = map(int, line.split()[:3])
        assert total == 40 << 10
        return used >> 10


@asynccontextmanager
async def two_replicas(
    tmp_path: Path,
    seaweed: Store,
    bucket: str,
    table: SharedTable,
    quota: dict[str, object] = QUOTA,
    interval: str = "5 s",
) -> AsyncIterator[Two]:
    async with AsyncExitStack() as open_:
        relay = await open_.enter_async_context(running_relay(table.moto))
        servers = []
        for name, workers in (("one", 1), ("other", 2)):
            options: dict[str, dict[str, object]] = {
                f"users.{USER}.quota": quota,
                "server": {"workers": workers},
                "admin": {"port": 0},
                # a slow machine is no table that does not answer
                "auth": {"answer_timeout": "110 s"},
                "shared_state": table.options(relay.url, interval=interval, timeout="100 s"),
            }
            servers.append(Server(tmp_path / name, seaweed, bucket, options))
            open_.push_async_callback(asyncio.to_thread, servers[-1].close)
        await asyncio.gather(*(each.astart() for each in servers))
        yield Two((servers[0], servers[1]), relay, tmp_path)
        for each in servers:
            assert "Traceback" not in each.output()


async def test_clients_that_fill_a_quota_on_two_replicas_at_once_store_just_what_fits(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    """The first write of each replica waits for that of the other: both know that there is room."""
    async with two_replicas(tmp_path, seaweed, bucket, table) as two:
        assert [await two.used(at) for at in (0, 1)] == [0, 0]
        file = tmp_path / "file"
        file.write_bytes(bytes(7 * MIB))
        waiting: set[str] = set()
        together = asyncio.Event()

        async def meet(request: web.Request) -> web.StreamResponse | None:
            if request.headers["X-Amz-Target"].endswith("UpdateItem") and not together.is_set():
                waiting.add(request.headers["Authorization"] + str(request.transport))
                if len(waiting) >= 2:
                    together.set()
                await together.wait()
            return None

        two.relay.fault = meet
        rclone = installed("rclone")

        async def put(client: Clients, how: str, name: str) -> None:
            if how == "openssh":
                await client.sftp(f"put {file} /{name}", timeout=120)
            elif how == "rclone":
                words = ("copyto", str(file), f"{USER}:/{name}", "--retries=1", "--low-level-retries=1")
                await client.rclone(*words, program=rclone, timeout=120)
            elif how == "paramiko":
                await asyncio.to_thread(_put_with_paramiko, client, file, name)
            else:
                async with client.asyncssh() as connection, connection.start_sftp_client() as sftp:
                    try:
                        await sftp.put(str(file), f"/{name}")
                    except asyncssh.SFTPError as error:
                        assert "quota exceeded" in str(error)

        hows = ("openssh", "rclone", "paramiko", "asyncssh")
        await asyncio.gather(*(put(two.clients[at], how, f"{how}{at}") for how in hows for at in (0, 1)))
        assert together.is_set()
        assert await two.stored() == [7] * 5
        async with asyncio.timeout(60):  # what a replica had set aside is given back at its next turn
            while [await two.used(at) for at in (0, 1)] != [35, 35]:
                await asyncio.sleep(0.1)
        refused = [line for each in two.servers for line in each.events("upload.failed") if "rule" in line]
        assert {line["rule"] for line in refused} == {f"quota.bytes: {40 * MIB}"}


def _put_with_paramiko(client: Clients, file: Path, name: str) -> None:
    with client.paramiko() as sftp:
        try:
            sftp.put(str(file), f"/{name}", confirm=False)
        except OSError as error:
            assert "quota exceeded" in str(error)


async def test_what_a_killed_replica_held_returns_and_what_it_stored_counts(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    async with two_replicas(tmp_path, seaweed, bucket, table, interval="1 s") as two:
        file = tmp_path / "file"
        file.write_bytes(bytes(21 * MIB))
        async with two.clients[0].asyncssh() as connection, connection.start_sftp_client() as sftp:
            async with sftp.open("/stored", "wb") as stored:
                await stored.write(bytes(3 * MIB))
            upload = await sftp.open("/large", "wb")
            await upload.write(bytes(30 * MIB))
            async with asyncio.timeout(60):
                while await two.used(1) < 20:
                    await asyncio.sleep(0.05)
            two.servers[0].kill()
            async with asyncio.timeout(120):  # refused until the other one is taken for dead: 15 intervals
                while (await two.clients[1].sftp(f"put {file} /new", timeout=120)).status != 0:
                    pass
            assert sorted(await two.stored()) == [3, 21]
            assert await two.used(1) == 24


async def test_while_the_table_is_down_replicas_go_on_and_afterwards_both_know_what_is_stored(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    async with two_replicas(tmp_path, seaweed, bucket, table) as two:
        file = tmp_path / "file"
        file.write_bytes(bytes(4 * MIB))
        for at in (0, 1):
            (await two.clients[at].sftp(f"put {file} /before{at}")).ok()
        two.relay.fault = errs("InternalServerError", 500)
        for at in (0, 1):
            (await two.clients[at].sftp(f"put {file} /during{at}", "rm /before0" if at else "ls")).ok()
            (await two.clients[at].sftp(f"put {file} /more{at}")).ok()
            said = await until(two.servers[at], "/readyz", lambda said: "shared_state_down" in said.warnings)
            assert said.status == 200
            assert "quotas" in said.warnings["shared_state_down"]
        two.relay.fault = None
        for each in two.servers:
            await until(each, "/readyz", lambda said: not said.warnings)
            assert 1 <= each.count("shared_state.quotas_down") <= 2  # one for each process
            assert each.count("shared_state.quotas_down") == each.count("shared_state.quotas_up")
        async with asyncio.timeout(60):
            while [await two.used(at) for at in (0, 1)] != [20, 20]:
                await asyncio.sleep(0.05)
        assert await two.stored() == [4] * 5


async def test_a_throttled_prefix_is_named_in_the_log_and_counted_and_nothing_is_refused_for_it(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    async with two_replicas(tmp_path, seaweed, bucket, table) as two:
        file = tmp_path / "file"
        file.write_bytes(bytes(4 * MIB))
        server, client = two.servers[0], two.clients[0]
        (await client.sftp(f"put {file} /before")).ok()
        two.relay.fault = errs("ProvisionedThroughputExceededException", message="slow down")
        (await client.sftp(f"put {file} /during", f"put {file} /more")).ok()
        (line,) = server.events("shared_state.quota_throttled")
        assert line["level"] == "warning"
        assert line["prefix"] == f"{USER}"
        assert line["reason"] == "ProvisionedThroughputExceededException: slow down"
        metrics = (await ask(admin_port_of(server), "/metrics")).body.decode()
        (count,) = [
            each.split()[-1]
            for each in metrics.splitlines()
            if each.startswith("s3sftp_shared_state_requests_total{")
            and 'purpose="quotas"' in each
            and 'result="throttled"' in each
        ]
        assert float(count) > 0
        assert not server.count("shared_state.quotas_down")
        two.relay.fault = None
        async with asyncio.timeout(60):
            while await two.used(1) != 12:
                await asyncio.sleep(0.05)


async def test_users_without_a_quota_pay_no_request(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    async with two_replicas(tmp_path, seaweed, bucket, table, {}) as two:
        file = tmp_path / "file"
        file.write_bytes(b"x")
        for at in (0, 1):
            (await two.clients[at].sftp(f"put {file} /f{at}", f"rm /f{at}", "df /")).ok()
            metrics = (await ask(admin_port_of(two.servers[at]), "/metrics")).body.decode()
            assert 's3sftp_shared_state_requests_total{purpose="quotas",result="answered"} 0.0' in metrics
        assert two.asked() == []
