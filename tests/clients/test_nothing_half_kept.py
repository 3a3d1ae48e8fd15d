"""With `files.resume`, too, only a client's CLOSE publishes: what is left is what its user may go on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.clients.conftest import QUICK, desk_at, running_on
from tests.support.asyncssh_leaving import leave
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Hold
from tests.support.server import PART_BYTES, Server

BIG = 4 * PART_BYTES
OLD = b"the version before"


def _keeping(limit: str) -> pytest.MarkDecorator:
    options = {"files": {"resume": limit}, "s3": {**QUICK["s3"], "janitor_interval": 1}}
    return pytest.mark.parametrize("mortal", [options], indirect=True, ids=[f"kept for {limit}"])


@pytest.fixture(scope="module")
def keeping_parts(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_on(seaweed, tmp_path_factory, QUICK | {"files": {"resume": "1h"}}) as server:
        yield server


@pytest.fixture
async def keeping_desk(keeping_parts: Server, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """A corner of a server that keeps what is cut."""
    async with desk_at(keeping_parts, tmp_path) as desk:
        yield desk


async def _hidden(desk: ClientWorkspace) -> list[str]:
    """The kinds of what the bucket has for users to go on with."""
    keys = await desk.s3.keys(".s3sftp/kept/")
    return sorted(key.rpartition(".")[2] for key in keys)


async def _only_what_is_kept_is_left(desk: ClientWorkspace, *, parts: bool, tail: bool) -> None:
    """Nothing under the name; a record, and the upload and the tail if there is something of them."""
    assert await desk.keys() == []
    assert await _hidden(desk) == ["json", *(["tail"] if tail else [])]
    assert len(await desk.uploads()) == int(parts)
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        assert [name for name in await sftp.listdir(desk.remote) if name not in (".", "..")] == []


async def _nothing_is_left(desk: ClientWorkspace) -> None:
    """Wait until nothing of an upload is left, neither under its name nor hidden."""
    async with asyncio.timeout(60):
        while await desk.uploads() or await _hidden(desk):
            await asyncio.sleep(0.05)
    assert await desk.keys() == []


async def _remove(desk: ClientWorkspace) -> None:
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        await sftp.remove(f"{desk.remote}/x")


async def _leave(desk: ClientWorkspace, size: int, vice: str = "drops the connection") -> None:
    """Write so many bytes and go away without CLOSE; wait until the server has ended the session."""
    server = desk.server
    ended = server.count("session.ended")
    async with desk.clients.asyncssh() as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open(f"{desk.remote}/x", "wb")
        await file.write(content(size))
        leave(connection, sftp, vice)
        await server.until(lambda: server.count("session.ended") > ended, "the session to end")


@pytest.mark.parametrize(
    ("vice", "size"),
    [
        ("drops the connection", 1000),
        ("drops the connection", BIG),
        ("disconnects", BIG),
        ("sends EOF", BIG),
        ("closes the channel", 1000),
    ],
)
async def test_of_a_client_that_leaves_before_close_only_what_is_kept_is_left_and_a_remove_ends_it(
    keeping_desk: ClientWorkspace, vice: str, size: int
) -> None:
    await _leave(keeping_desk, size, vice)
    await _only_what_is_kept_is_left(keeping_desk, parts=size == BIG, tail=True)
    await _remove(keeping_desk)
    await _nothing_is_left(keeping_desk)


async def test_beside_a_stored_file_nothing_is_left(keeping_desk: ClientWorkspace) -> None:
    await keeping_desk.put("x", OLD)
    await _leave(keeping_desk, BIG)
    assert await keeping_desk.uploads() == []
    assert await _hidden(keeping_desk) == []
    assert await keeping_desk.body("x") == OLD


@_keeping("1h")
async def test_of_a_server_that_is_killed_only_what_is_kept_is_left_and_a_remove_ends_it(
    mortal: ClientWorkspace, proxy: FaultProxy
) -> None:
    rule = proxy.on("UploadPart", do=Hold(), skip=2)
    file = mortal.file("x", BIG)
    async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x") as running:
        await rule.reached()
        mortal.server.kill()
        (await running.result()).failed()
    rule.release()
    await mortal.server.restart()
    await _only_what_is_kept_is_left(mortal, parts=True, tail=False)
    await _remove(mortal)
    await _nothing_is_left(mortal)


@_keeping("1s")
async def test_what_is_kept_goes_when_it_is_too_old(mortal: ClientWorkspace) -> None:
    await _leave(mortal, BIG)
    await mortal.server.until(lambda: mortal.server.count("upload.kept_expired") > 0, "it to be too old")
    await _nothing_is_left(mortal)
