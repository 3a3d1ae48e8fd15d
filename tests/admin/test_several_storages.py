"""Several storages at start and in readiness: each that cannot be used is named."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of, ask, until
from tests.admin.admin_servers import connect, serving
from tests.cli.command_process import s3sftp
from tests.support.fault_proxy import FaultProxy
from tests.support.parsed_metrics import Numbers
from tests.support.server import Groups, Server


def of_archive(store: Store, bucket: str) -> Groups:
    return {
        "storages.archive": {
            "bucket": bucket,
            "prefix": "archive/",
            "endpoint_url": store.endpoint_url,
            "region": store.region,
            "addressing": "path",
            "access_key_id": store.access_key,
            "secret_access_key": store.secret_key,
            "attempts": 1,
            "metadata_timeout": 3,
            "connect_timeout": 1,
        },
        'users.alice.mounts."/archive"': {"prefix": "acme/", "storage": "archive"},
    }


@pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
async def test_another_storage_that_goes_away_is_a_warning_with_its_name(
    store: Store, proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path, workers: int
) -> None:
    options = {**of_archive(proxied, bucket), "s3": {"prefix": "main/"}}
    async with serving(tmp_path, store, bucket, workers, options) as server:
        port = admin_port_of(server)
        assert (await ask(port, "/readyz")).json == {"status": "ok", "reasons": [], "warnings": []}
        await proxy.down()
        said = await until(server, "/readyz", lambda said: bool(said.json["warnings"]), within=25)
        assert said.status == 200
        (warning,) = said.json["warnings"]
        assert warning["name"] == "storage_unreachable"
        assert warning["detail"].startswith("storage archive: ")
        for word in (bucket, proxy.url, "cannot be reached"):
            assert word in warning["detail"]
        async with await connect(server) as connection, connection.start_sftp_client() as sftp:
            assert await sftp.listdir("/") is not None
            await sftp.put(__file__, "/f")
        await proxy.up()
        await until(server, "/readyz", lambda said: not said.json["warnings"], within=25)


async def test_another_storage_that_is_down_at_start_is_named_and_the_server_serves(
    store: Store, proxied: Store, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    await proxy.down()
    options = {**of_archive(proxied, bucket), "s3": {"prefix": "main/"}}
    async with serving(tmp_path, store, bucket, 1, options) as server:
        (told,) = server.events("storage.unreachable")
        assert told["storage"] == "archive"
        assert bucket in told["detail"]


async def test_another_storage_whose_bucket_is_not_there_ends_the_start_with_its_name(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = of_archive(store, "no-such-bucket-at-all")
    server = Server(tmp_path / "server", store, bucket, options)
    server._spawn()
    try:
        assert await server.ended() != 0
        await asyncio.sleep(0)
        assert "storage archive" in server.output()
        assert "no-such-bucket-at-all" in server.output()
    finally:
        server.close()


async def test_the_command_check_probes_every_storage_and_names_it(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = {**of_archive(store, bucket), "s3": {"prefix": "main/"}}
    server = Server(tmp_path / "good", store, bucket, options)
    done = await asyncio.to_thread(s3sftp, "check", "--config", str(server.config_file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "archive: " in done.stdout
    bad = Server(tmp_path / "bad", store, bucket, of_archive(store, "no-such-bucket-at-all"))
    done = await asyncio.to_thread(s3sftp, "check", "--config", str(bad.config_file))
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    assert failed
    assert all("archive: " in line for line in failed)


async def test_metrics_of_two_workers_tell_storages_apart(store: Store, bucket: str, tmp_path: Path) -> None:
    options = {**of_archive(store, bucket), "s3": {"prefix": "main/"}}
    async with serving(tmp_path, store, bucket, 2, options) as server:
        for _ in range(3):
            async with await connect(server) as connection, connection.start_sftp_client() as sftp:
                await sftp.put(__file__, "/archive/f")
        numbers = Numbers((await ask(admin_port_of(server), "/metrics")).body)
        assert numbers("s3_requests_total", storage="archive", api="PutObject", result="ok") == 3
        assert numbers("s3_requests_total", storage="_s3", api="PutObject") == 0
        assert numbers("s3_cost_dollars_total", storage="archive") >= 0.005 / 1000 * 3
        assert numbers("s3_throttles_total", storage="archive") == 0
