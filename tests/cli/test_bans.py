"""`s3sftp bans`: what the running server bans is shown, lifted and added, by its own user alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import paramiko
import pytest

from testbed.s3_store import Store
from tests.cli.command_process import s3sftp
from tests.support.commands import Result, installed, run
from tests.support.server import Server

GUESSER = "127.0.0.61"
HONEST = "127.0.0.62"
UNWANTED = "127.0.0.63"


def ban_server(directory: Path, store: Store, bucket: str, workers: int) -> Server:
    options: dict[str, dict[str, object]] = {
        "auth": {"ban_failures": 6, "refusal_time": 0.01, "never_banned": ["192.0.2.0/24"]},
        "server": {"workers": workers},
    }
    return Server(directory, store, bucket, options)


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"], scope="module")
def workers(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def server(workers: int, seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For all tests that bans are all they change of it; each leaves none."""
    with seaweed.space() as space:
        running = ban_server(tmp_path_factory.mktemp("server"), seaweed, space.bucket, workers)
        try:
            yield running.start()
        finally:
            running.close()


@pytest.fixture
async def mortal(workers: int, seaweed: Store, bucket: str, tmp_path: Path) -> AsyncIterator[Server]:
    """One that a test may end."""
    running = ban_server(tmp_path / "server", seaweed, bucket, workers)
    try:
        await running.astart()
        yield running
    finally:
        await asyncio.to_thread(running.close)


async def bans(server: Server, *words: str) -> Result:
    """Run `s3sftp bans` as an operator does, with the server's configuration file."""
    command, *rest = words
    done = await asyncio.to_thread(s3sftp, "bans", command, "--config", str(server.config_file), *rest)
    return Result(tuple(words), done.returncode, done.stdout.encode(), done.stderr.encode())


async def listed(server: Server) -> list[str]:
    return [ban["source"] for ban in json.loads((await bans(server, "list", "--json")).ok().out)]


def guess(server: Server, source: str, password: str = "wrong") -> None:
    """One attempt with paramiko.

    Raises paramiko.SSHException or OSError: if it is refused.
    """
    with contextlib.closing(socket.create_connection((server.host, server.port), 20, (source, 0))) as sock:
        transport = paramiko.Transport(sock)
        try:
            transport.connect(username=server.user, password=password)
        finally:
            transport.close()


async def sftp(server: Server, source: str) -> Result:
    """OpenSSH's client, from an address."""
    options = ("-F", "none", "-o", f"BindAddress={source}", "-o", "BatchMode=yes", "-o", "IdentityAgent=none")
    known = ("-o", f"UserKnownHostsFile={server.known_hosts}", "-i", str(server.key_file))
    target = f"{server.user}@{server.host}"
    batch = server.directory / "batch"
    batch.write_text("ls\n")
    words = [installed("sftp"), *options, *known, "-b", str(batch), "-P", str(server.port), target]
    return await run(words)


async def test_a_guesser_is_banned_listed_and_lifted_and_the_others_log_in(server: Server) -> None:
    for _ in range(6):
        with pytest.raises((paramiko.SSHException, OSError, EOFError)):
            await asyncio.to_thread(guess, server, GUESSER)
    (await sftp(server, GUESSER)).failed()
    (await sftp(server, HONEST)).ok()
    (ban,) = json.loads((await bans(server, "list", "--json")).ok().out)
    assert (ban["source"], ban["reason"], ban["score"], ban["number"]) == (GUESSER, "password", 6, 1)
    assert 0 < ban["remaining_seconds"] <= ban["seconds"] == 600
    head, row = (await bans(server, "list")).ok().text.splitlines()
    assert head.split() == ["source", "reason", "score", "number", "ends", "in"]
    assert row.split()[:4] == [GUESSER, "password", "6", "1"]
    assert f"{GUESSER} is not banned any more" in (await bans(server, "lift", GUESSER)).ok().text
    (await sftp(server, GUESSER)).ok()
    assert await listed(server) == []
    lifted = server.events("source.unbanned")[-1]
    assert (lifted["source"], lifted["reason"], lifted["score"]) == (GUESSER, "password", 6)


async def test_the_operator_bans_an_address_for_a_time(server: Server) -> None:
    said = (await bans(server, "add", UNWANTED, "--for", "1h")).ok().text
    assert said.startswith(f"{UNWANTED} is banned until 20")
    (await sftp(server, UNWANTED)).failed()
    (await sftp(server, HONEST)).ok()
    event = server.events("source.banned")[-1]
    assert (event["source"], event["reason"], event["seconds"]) == (UNWANTED, "operator", 3600)
    added = json.loads((await bans(server, "add", "2001:db8::1", "--for", "2h", "--json")).ok().out)
    assert (added["source"], added["seconds"]) == ("2001:db8::/64", 7200)
    for source in ("2001:db8::/64", UNWANTED):
        (await bans(server, "lift", source)).ok()


async def test_what_cannot_be_done_is_said_and_shows_in_the_exit_status(server: Server) -> None:
    for words, reason in {
        ("lift", GUESSER): f"{GUESSER} is not banned",
        ("lift", "example.com"): "'example.com' should be an IP address",
        ("add", "203.0.113.0/24", "--for", "1h"): "should be an IP address",
        ("add", "192.0.2.7", "--for", "1h"): "192.0.2.7 is in auth.never_banned or ssh.shared_sources",
    }.items():
        said = await bans(server, *words)
        assert (said.status, reason in said.text) == (1, True), said
    wrong = await bans(server, "add", GUESSER, "--for", "long")
    assert wrong.status == 2
    assert "should be a number of seconds, or a text like '30 s'" in wrong.text
    assert await listed(server) == []


async def test_only_the_servers_user_may_reach_it_and_its_end_removes_it(mortal: Server) -> None:
    path = mortal.directory / "state/control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    mortal.terminate()
    assert await mortal.ended() == 0
    assert not path.exists()
    said = await bans(mortal, "list")
    assert said.status == 1
    assert f"no server answers at {path}" in said.text


async def test_a_killed_server_leaves_a_socket_that_the_next_one_replaces(mortal: Server) -> None:
    mortal.kill()
    await mortal.ended()
    assert (mortal.directory / "state/control.sock").exists()
    assert "no server answers" in (await bans(mortal, "list")).text
    await mortal.restart()
    assert await listed(mortal) == []


async def test_nonsense_on_the_socket_is_answered_and_harms_nothing(server: Server) -> None:
    path = str(server.directory / "state/control.sock")
    for line in (b"\n", b"{}\n", b"[]\n", b"\xff\n", b'{"command": "bans.lift"}\n', b"x" * 5000 + b"\n"):
        reader, writer = await asyncio.open_unix_connection(path)
        with contextlib.suppress(ConnectionError):
            writer.write(line)
            await writer.drain()
            answer = await reader.read()
            assert not answer or "error" in json.loads(answer)
        writer.close()
    assert await listed(server) == []
    assert "Traceback" not in server.output()


async def test_where_no_socket_can_be_made_the_server_serves_and_says_so(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    options: dict[str, dict[str, object]] = {
        "server": {"state_dir": None, "workers": 2},
        "s3": {"journal": "off"},
    }
    server = Server(
        tmp_path / "server", seaweed, bucket, options, ["env", f"STATE_DIRECTORY={tmp_path}/file"]
    )
    try:
        await server.astart()
        (event,) = server.events("control.unavailable")
        assert event["path"] == f"{tmp_path}/file/control.sock"
        (await sftp(server, HONEST)).ok()
    finally:
        await asyncio.to_thread(server.close)


async def test_a_second_server_on_a_state_directory_leaves_the_socket_to_the_first(
    server: Server, bucket: str, tmp_path: Path
) -> None:
    shared = {"server": {"state_dir": str(server.directory / "state"), "workers": 1}}
    second = Server(tmp_path / "second", server.store, bucket, shared)
    try:
        await second.astart()
        (event,) = second.events("control.unavailable")
        assert event["error"] == "another server listens there"
    finally:
        await asyncio.to_thread(second.close)
    assert await listed(server) == []
