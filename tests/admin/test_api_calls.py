"""What the admin API says is what clients did, and what it does happens, with one process and with two."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from s3sftp.app import control_socket
from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of, ask
from tests.admin.admin_servers import connect, serving
from tests.admin.api_client import ApiClient, token_file
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.server import Server

EITHER = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
SIZE = 300_000


@asynccontextmanager
async def operated(
    directory: Path, store: Store, bucket: str, workers: int, **groups: dict[str, object]
) -> AsyncIterator[tuple[Server, ApiClient]]:
    """A server with the API, and a client of it."""
    admin = {"token_file": str(token_file(directory))}
    async with serving(directory, store, bucket, workers, {"admin": admin, **groups}) as server:
        yield server, ApiClient(server)


@EITHER
async def test_what_is_under_way_and_what_has_ended_is_what_the_client_moved(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with operated(tmp_path, store, bucket, workers) as (server, api):
        async with await connect(server) as connection, connection.start_sftp_client() as sftp:
            async with sftp.open("/up", "wb") as file:
                await file.write(b"x" * SIZE)
                (live,) = (await api.get("/transfers"))["items"]
                assert (live["direction"], live["path"], live["bytes"]) == ("upload", "/up", SIZE)
                assert (live["state"], live["size"], live["user"]) == ("live", None, "alice")
                (session,) = (await api.get("/sessions"))["items"]
                assert (session["id"], session["handles"]) == (live["session"], 1)
                assert (session["bytes_in"], session["bytes_out"]) == (SIZE, 0)
                assert (session["user"], session["method"]) == ("alice", "publickey")
                assert (session["worker"] > 0) == (workers > 1)
            async with sftp.open("/up", "rb") as file:
                assert len(await file.read()) == SIZE
            said = await api.until("/transfers?state=recent", lambda said: len(said["items"]) == 2)
            down, up = said["items"]
            assert (up["direction"], up["state"], up["bytes"]) == ("upload", "committed", SIZE)
            assert (up["bucket"], up["key"], up["size"]) == (bucket, "alice/up", SIZE)
            assert (down["direction"], down["bytes"], down["size"]) == ("download", SIZE, SIZE)
            assert (await api.get(f"/sessions/{session['id']}"))["bytes_out"] == SIZE
        (cost,) = (await api.get("/costs"))["items"]
        assert (cost["user"], cost["files_in"], cost["files_out"]) == ("alice", 1, 1)
        assert (cost["bytes_in"], cost["bytes_out"]) == (SIZE, SIZE)
        logged = server.events("upload.committed")[0]["s3_requests"]
        assert up["s3_requests"] == sum(logged.values())
        assert cost["s3_requests"] >= up["s3_requests"] + down["s3_requests"]
        counted = await ask(admin_port_of(server), "/metrics")
        requests = [
            float(line.rpartition(" ")[2])
            for line in counted.body.decode().splitlines()
            if line.startswith("s3sftp_s3_requests_total{") and 'api="HeadBucket"' not in line
        ]
        assert cost["s3_requests"] <= sum(requests)
        await api.until("/sessions", lambda said: said["items"] == [])


@EITHER
async def test_a_session_that_is_disconnected_ends_and_its_upload_is_aborted(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with operated(tmp_path, store, bucket, workers) as (server, api):
        async with contextlib.AsyncExitStack() as clients:
            stay, leave = [await clients.enter_async_context(await connect(server)) for _ in range(2)]
            kept = await clients.enter_async_context(stay.start_sftp_client())
            sftp = await leave.start_sftp_client()
            file = await sftp.open("/cut", "wb")
            await file.write(b"x" * SIZE)
            (live,) = (await api.get("/transfers"))["items"]
            assert (await api.call("DELETE", f"/api/v1/sessions/{live['session']}")).status == 202
            await leave.wait_closed()
            said = await api.until("/transfers?state=recent", lambda said: len(said["items"]) == 1)
            (ended,) = said["items"]
            assert (ended["state"], ended["reason"]) == ("aborted", "session_ended")
            assert await kept.listdir("/") is not None
            left = await api.until("/sessions", lambda said: len(said["items"]) == 1)
            assert left["items"][0]["id"] != live["session"]
            assert (await api.call("DELETE", f"/api/v1/sessions/{live['session']}")).status == 404
        (done, missed) = server.events("admin.changed")
        assert (done["who"], done["call"], done["status"]) == ("ops", "disconnect", 202)
        assert (done["target"], missed["status"]) == (live["session"], 404)


@EITHER
async def test_draining_lets_transfers_finish_and_ends_the_server(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with operated(tmp_path, store, bucket, workers) as (server, api):
        connection = await connect(server)
        sftp = await connection.start_sftp_client()
        file = await sftp.open("/last", "wb")
        await file.write(b"x" * SIZE)
        for _ in range(2):  # the second changes nothing
            assert (await api.call("POST", "/api/v1/drain")).status == 202
        await api.until("/server", lambda said: said["state"] == "draining")
        server.terminate()  # what runs the server stops it too, and cuts nothing off
        await file.write(b"x" * SIZE)
        await file.close()
        connection.close()
        assert await server.ended() == 0
        assert len(server.events("upload.committed")) == 1


@EITHER
async def test_the_level_of_the_log_changes_in_every_process_and_back(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with operated(tmp_path, store, bucket, workers) as (server, api):
        said = await api.call("PUT", "/api/v1/log-level", {"level": "debug"})
        assert said.json == {"level": "debug", "configured": "info", "not_answered": []}
        assert (await api.get("/server"))["log_level"] == "debug"
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(workers):  # one for each
                connection = await clients.enter_async_context(await connect(server))
                sftp = await clients.enter_async_context(connection.start_sftp_client())
                await sftp.stat("/")

            def debugging() -> set[object]:
                events = server.events("request.completed")
                return {event.get("worker") for event in events if event["level"] == "debug"}

            await server.until(lambda: len(debugging()) == workers, "debug lines of each process")
        assert (await api.call("DELETE", "/api/v1/log-level")).json["level"] == "info"
        before = server.count("request.completed")
        async with await connect(server) as connection, connection.start_sftp_client() as sftp:
            await sftp.stat("/")
        assert server.count("request.completed") == before


@EITHER
async def test_logins_that_failed_are_there_with_who_and_how(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with operated(tmp_path, store, bucket, workers) as (server, api):
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                server.host,
                server.port,
                username="mallory",
                password="guess",
                known_hosts=None,
                client_keys=None,
                config=None,
                agent_path=None,
            )
        said = await api.until("/logins/failed", lambda said: bool(said["items"]))
        assert said["items"][0]["user"] == "mallory"
        assert said["items"][0]["peer"] == "127.0.0.1"
        assert said["items"][0]["method"] in ("password", "keyboard-interactive")


@EITHER
async def test_bans_are_listed_and_lifted_by_their_id(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with operated(tmp_path, store, bucket, workers, auth={"ban_failures": 5}) as (server, api):
        for address in ("198.51.100.7", "2001:db8::1"):
            added = {"command": "bans.add", "address": address, "seconds": 3600}
            await asyncio.to_thread(control_socket.ask, server.directory / "state", added)
        items = {item["source"]: item for item in (await api.get("/bans"))["items"]}
        assert {"198.51.100.7", "2001:db8::/64"} == set(items)
        for item in items.values():
            lifted = await api.call("DELETE", f"/api/v1/bans/{item['id']}")
            assert lifted.json == {"lifted": True, "warning": None}
            assert (await api.call("DELETE", f"/api/v1/bans/{item['id']}")).status == 404
        assert (await api.get("/bans"))["items"] == []


@asynccontextmanager
async def stopped(pid: int) -> AsyncIterator[None]:
    """A process that does not turn meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_worker_that_hangs_is_named_and_the_others_answer(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    limit: dict[str, object] = {"worker_timeout": "10 min"}
    async with operated(tmp_path, store, bucket, 2, server=limit) as (server, api):
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(2):
                connection = await clients.enter_async_context(await connect(server))
                await clients.enter_async_context(connection.start_sftp_client())
            said = await api.until("/sessions", lambda said: len(said["items"]) == 2)
            assert {each["worker"] for each in said["items"]} == {1, 2}
            (pid,) = [event["pid"] for event in server.events("worker.started") if event["worker"] == 2]
            async with stopped(pid):
                for path in ("/sessions", "/transfers", "/costs", "/logins/failed"):
                    said = await api.get(path)
                    assert said["not_answered"] == [2]
                assert [each["worker"] for each in (await api.get("/sessions"))["items"]] == [1]
            await api.until("/sessions", lambda said: said["not_answered"] == [])


@EITHER
async def test_openssh_and_rclone_are_seen_with_what_they_moved(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"x" * SIZE)
    async with operated(tmp_path, store, bucket, workers) as (server, api):
        clients = Clients(server, tmp_path / "home")
        assert (await clients.sftp(f"put {source} /by-openssh")).status == 0
        words = ("copyto", str(source), "alice:/by-rclone")
        assert (await clients.rclone(*words, program=installed("rclone"))).status == 0
        said = await api.until("/transfers?state=recent", lambda said: len(said["items"]) >= 2)
        moved = {each["path"].split(".")[0]: each for each in said["items"]}
        for name in ("/by-openssh", "/by-rclone"):
            assert (moved[name]["bytes"], moved[name]["state"]) == (SIZE, "committed")


async def test_a_dry_run_says_what_the_login_and_its_operations_would_be(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    async with operated(tmp_path, store, bucket, 2) as (server, api):
        key = asyncssh.read_private_key(str(server.key_file)).export_public_key().decode()
        stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        path = "/api/v1/users/alice/dry-run"
        tries = ["put /x.csv", "get /missing"]
        said = (await api.call("POST", path, {"key": key, "from": "192.0.2.1", "try": tries})).json
        assert (said["accepted"], said["all_allowed"], said["ban"]["state"]) == (True, False, "none")
        assert [each["state"] for each in said["operations"]] == ["allowed", "refused"]
        assert not (await api.call("POST", path, {"key": stranger})).json["accepted"]
        assert (await api.call("POST", path, {})).json["accepted"]
        refused = (await api.call("POST", path, {"methods": ["totp"]})).json
        assert (refused["accepted"], "is not enough" in refused["reason"]) == (False, True)
        for wrong in ({"try": ["fly /"]}, {"from": "here"}, {"key": "none"}):
            assert (await api.call("POST", path, wrong)).status == 422
        detail = await api.get("/users/alice")
        assert detail["rules"][0]["storage"] == f"s3://{bucket}/alice/"
        assert [each["name"] for each in (await api.get("/users"))["items"]] == ["alice"]
