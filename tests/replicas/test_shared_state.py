"""Replicas that share bans through a table: real clients are banned on one and refused by the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import paramiko
import pytest

from testbed.processes import free_port
from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of, ask, until
from tests.cli.command_process import s3sftp
from tests.ssh.ssh_clients import askpass, openssh
from tests.support.aws_users import Relay, errs, running_relay
from tests.support.commands import Result, installed, run
from tests.support.server import USER, Server
from tests.support.shared_table import SharedTable

GUESSER = "127.0.0.71"
HONEST = "127.0.0.72"


@pytest.fixture
def table(moto: Store, monkeypatch: pytest.MonkeyPatch) -> SharedTable:
    """A table that the credentials in the servers' environment open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return SharedTable(moto)


def server(
    directory: Path,
    seaweed: Store,
    bucket: str,
    shared: dict[str, Any],
    workers: int = 1,
    **user: object,
) -> Server:
    """`user` are further options of alice."""
    options: dict[str, dict[str, object]] = {
        f"users.{USER}": user,
        "auth": {"ban_failures": 4, "refusal_time": 0.01},
        "server": {"workers": workers},
        "admin": {"port": 0},
        "shared_state": shared,
    }
    return Server(directory, seaweed, bucket, options)


@asynccontextmanager
async def two_replicas(
    tmp_path: Path, seaweed: Store, bucket: str, shared: dict[str, Any], **user: object
) -> AsyncIterator[tuple[Server, Server]]:
    """One of a single process, the other with two workers."""
    one = server(tmp_path / "one", seaweed, bucket, shared, **user)
    other = server(tmp_path / "other", seaweed, bucket, shared, 2, **user)
    try:
        await asyncio.gather(one.astart(), other.astart())
        yield one, other
        assert "Traceback" not in one.output() + other.output()
    finally:
        await asyncio.gather(asyncio.to_thread(one.close), asyncio.to_thread(other.close))


async def sftp(server: Server, source: str) -> Result:
    """OpenSSH's client, from an address."""
    options = ("-F", "none", "-o", f"BindAddress={source}", "-o", "BatchMode=yes", "-o", "IdentityAgent=none")
    known = ("-o", f"UserKnownHostsFile={server.known_hosts}", "-i", str(server.key_file))
    batch = server.directory / "batch"
    batch.write_text("ls\n")
    words = [installed("sftp"), *options, *known, "-b", str(batch), "-P", str(server.port)]
    return await run([*words, f"{USER}@{server.host}"])


def guess(server: Server, source: str) -> None:
    """A wrong password with paramiko."""
    with contextlib.closing(socket.create_connection((server.host, server.port), 20, (source, 0))) as sock:
        transport = paramiko.Transport(sock)
        try:
            transport.connect(username=USER, password="wrong")
        finally:
            transport.close()


async def get_banned(server: Server, source: str = GUESSER) -> None:
    for _ in range(4):
        with pytest.raises((paramiko.SSHException, OSError, EOFError)):
            await asyncio.to_thread(guess, server, source)
    await server.until(lambda: bool(server.events("source.banned")), "the ban")


async def bans(server: Server, *words: str) -> Result:
    """Run `s3sftp bans` as an operator does."""
    command, *rest = words
    done = await asyncio.to_thread(s3sftp, "bans", command, "--config", str(server.config_file), *rest)
    return Result(tuple(words), done.returncode, done.stdout.encode(), done.stderr.encode())


async def listed(server: Server) -> list[dict[str, Any]]:
    return json.loads((await bans(server, "list", "--json")).ok().out)


async def test_who_is_banned_on_one_replica_is_refused_by_the_other_until_either_lifts_it(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    async with two_replicas(tmp_path, seaweed, bucket, table.options()) as (one, other):
        (await sftp(other, GUESSER)).ok()
        await get_banned(one)
        await other.until(lambda: other.count("source.ban_received") == 1, "the other replica to learn of it")
        (await sftp(other, GUESSER)).failed()
        (await sftp(other, HONEST)).ok()
        (ban,) = await listed(other)
        assert (ban["source"], ban["reason"], ban["number"]) == (GUESSER, "password", 1)
        assert 0 < ban["remaining_seconds"] <= ban["seconds"] == 600
        assert ban["replica"] == socket.gethostname()
        (await bans(other, "lift", GUESSER)).ok()
        await one.until(lambda: one.count("source.unban_received") == 1, "the first replica to learn of it")
        for replica in (one, other):
            (await sftp(replica, GUESSER)).ok()
            assert await listed(replica) == []
        await one.restart()
        for replica in (one, other):  # each has read all bans of the table when it answers
            assert await listed(replica) == []
        (await sftp(one, GUESSER)).ok()
        assert other.count("source.banned") == 0


async def test_while_the_table_is_down_each_replica_goes_on_and_afterwards_both_know_everything(
    seaweed: Store, moto: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as relays:
        relay: Relay = await relays.enter_async_context(running_relay(moto, port))
        async with two_replicas(tmp_path, seaweed, bucket, table.options(relay.url)) as (one, other):
            (await bans(one, "add", "192.0.2.1", "--for", "1h")).ok()
            await other.until(lambda: other.count("source.ban_received") == 1, "the first ban to be shared")
            relay.fault = errs("InternalServerError", 500)
            for replica in (one, other):
                said = await until(replica, "/readyz", lambda said: "shared_state_down" in said.warnings)
                assert said.status == 200
                assert table.name in said.warnings["shared_state_down"]
                metrics = (await ask(admin_port_of(replica), "/metrics")).body.decode()
                assert "\ns3sftp_shared_state_down 1.0\n" in metrics
            await get_banned(one)
            (await sftp(one, GUESSER)).failed()
            (await sftp(other, GUESSER)).ok()
            (await sftp(one, HONEST)).ok()
            lifted = (await bans(other, "lift", "192.0.2.1")).ok()
            assert "other replicas learn of this when it does" in lifted.text
            relay.fault = None
            await other.until(lambda: other.count("source.ban_received") == 2, "the ban that was pending")
            await one.until(lambda: one.count("source.unban_received") == 1, "the lift that was pending")
            (await sftp(other, GUESSER)).failed()
            for replica in (one, other):
                assert [ban["source"] for ban in await listed(replica)] == [GUESSER]
                await until(replica, "/readyz", lambda said: not said.warnings)
                assert replica.count("shared_state.down") == 1


async def test_a_server_starts_while_the_table_does_not_answer_and_shares_what_it_has_banned_later(
    seaweed: Store, moto: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    port = free_port()
    shared = table.options(f"http://127.0.0.1:{port}")
    async with two_replicas(tmp_path, seaweed, bucket, shared) as (one, other):
        assert one.count("shared_state.down") == other.count("shared_state.down") == 1
        await get_banned(one)
        async with running_relay(moto, port):
            await one.until(lambda: one.count("shared_state.up") == 1, "the ban to be written")
            await other.until(lambda: other.count("shared_state.up") == 1, "the other replica to read")
            assert [ban["source"] for ban in await listed(other)] == [GUESSER]
            (await sftp(other, GUESSER)).failed()


SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
WITH_CODE = {"totp_secret": SECRET, "methods": ["publickey+totp"]}


async def code(steps: int) -> str:
    """The verification code of so many steps of 30 s later, as oathtool computes it."""
    at = int(time.time()) + 30 * steps
    words = [installed("oathtool"), "--totp", "--base32", f"--now=@{at}", SECRET]
    return (await run(words)).ok().text.strip()


async def with_code(server: Server, directory: Path, code: str) -> Result:
    """OpenSSH's client, which proves the key and answers the question for the code."""
    options = (f"IdentityFile={server.key_file}", "PreferredAuthentications=publickey,keyboard-interactive")
    return await openssh(server.port, *options, "NumberOfPasswordPrompts=1", env=askpass(directory, code))


async def test_a_code_that_one_replica_has_accepted_is_refused_by_the_other(
    seaweed: Store, bucket: str, table: SharedTable, tmp_path: Path
) -> None:
    async with two_replicas(tmp_path, seaweed, bucket, table.options(), **WITH_CODE) as (one, other):
        first = await code(0)
        (await with_code(one, tmp_path, first)).ok()
        for replica in (other, one):
            (await with_code(replica, tmp_path, first)).failed()
        second = await code(1)
        (await with_code(other, tmp_path, second)).ok()
        (await with_code(one, tmp_path, second)).failed()
        assert len(table.items("codes")) == 1
        assert SECRET not in one.output() + other.output()


@pytest.mark.parametrize("unproven", ["refuse", "accept"])
async def test_codes_while_the_table_is_down_are_refused_without_a_ban_or_accepted_as_configured(
    seaweed: Store, moto: Store, bucket: str, table: SharedTable, tmp_path: Path, unproven: str
) -> None:
    async with running_relay(moto) as relay:
        shared = table.options(relay.url, unproven_codes=unproven)
        running = server(tmp_path / "server", seaweed, bucket, shared, **WITH_CODE)
        try:
            await running.astart()
            relay.fault = errs("InternalServerError", 500)
            if unproven == "accept":
                used = await code(0)
                (await with_code(running, tmp_path, used)).ok()
                (await with_code(running, tmp_path, used)).failed()
            else:
                for _ in range(5):  # more than make a ban
                    (await with_code(running, tmp_path, await code(0))).failed()
            assert running.count("source.banned") == 0
            (event, *_) = running.events("shared_state.code_unproven")
            assert event["accepted"] is (unproven == "accept")
            relay.fault = None
            (await with_code(running, tmp_path, await code(1))).ok()
        finally:
            await asyncio.to_thread(running.close)


async def test_check_says_whether_the_table_can_be_used(
    moto: Store, table: SharedTable, tmp_path: Path
) -> None:
    file = tmp_path / "s3sftp.toml"
    for shared, status, says in (
        (table, 0, "can be read and written"),
        (SharedTable(moto, ()), 1, "there is no such table"),
    ):
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in shared.options().items())
        file.write_text(f'backend = "memory"\n[server]\nstate_dir = "{tmp_path}"\n[shared_state]\n{lines}')
        keys = {"AWS_ACCESS_KEY_ID": moto.access_key, "AWS_SECRET_ACCESS_KEY": moto.secret_key}
        done = await asyncio.to_thread(partial(s3sftp, "check", "--config", str(file), **keys))
        assert (done.returncode, says in done.stdout) == (status, True), done


WRONG_TABLES = {
    "missing": ((), "there is no such table: create one"),
    "no sort key": ((("pk", "S"),), "the table should have a partition key `pk` and a sort key `sk`"),
    "other names": ((("id", "S"), ("sk", "S")), "the table should have a partition key `pk`"),
}


@pytest.mark.parametrize(("keys", "says"), WRONG_TABLES.values(), ids=WRONG_TABLES)
@pytest.mark.usefixtures("table")
async def test_a_table_that_cannot_be_used_is_named_at_the_start(
    seaweed: Store, moto: Store, bucket: str, tmp_path: Path, keys: Any, says: str
) -> None:
    wrong = SharedTable(moto, keys)
    running = server(tmp_path / "server", seaweed, bucket, wrong.options())
    await _does_not_start(running, f"shared_state.dynamodb_table = '{wrong.name}': {says}")


@pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
async def test_a_denial_is_named_at_the_start_with_the_permission(
    seaweed: Store, moto: Store, bucket: str, table: SharedTable, tmp_path: Path, workers: int
) -> None:
    async with running_relay(moto) as relay:
        relay.fault = errs("AccessDeniedException")
        running = server(tmp_path / "server", seaweed, bucket, table.options(relay.url), workers)
        await _does_not_start(running, "the server needs the permission dynamodb:GetItem")


async def _does_not_start(server: Server, says: str) -> None:
    server._spawn()
    try:
        assert await server.ended() == 2
        assert says in server.output()
        assert "Traceback" not in server.output()
    finally:
        await asyncio.to_thread(server.close)
