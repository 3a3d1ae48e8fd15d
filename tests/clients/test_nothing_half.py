"""Only a client's CLOSE publishes: whatever else ends an upload leaves what was there, and nothing more.

The proxy holds the storage's requests, so that "in the middle of an upload" is certain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.support.asyncssh_leaving import leave
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Hold, HoldReply, Rule
from tests.support.s3_client import s3_client
from tests.support.server import PART_BYTES, Server

BIG = 4 * PART_BYTES
HUGE = 12 * PART_BYTES
"""More than the server takes before it has stored some of it: CLOSE cannot have come."""
OLD = b"the version before"

PATIENT = pytest.mark.parametrize(
    "mortal", [{"s3": {}, "server": {"drain_timeout": "60s"}}], indirect=True, ids=["patient"]
)
"""A server that waits for running transfers, however long the test takes."""


async def _nothing_is_left(desk: ClientWorkspace, *, previous: bytes | None) -> None:
    """Wait until no unfinished upload is left; then the name must hold what it held before."""
    async with asyncio.timeout(20):
        while await desk.uploads():
            await asyncio.sleep(0.05)
    await _nothing_is_published(desk, previous=previous)


async def _nothing_is_published(desk: ClientWorkspace, *, previous: bytes | None) -> None:
    if previous is None:
        assert await desk.keys() == []
    else:
        assert await desk.keys() == ["x"]
        assert await desk.body("x") == previous


@pytest.fixture(params=[None, OLD], ids=["new", "overwritten"])
def previous(request: pytest.FixtureRequest) -> bytes | None:
    """What stands under the name `x` before the upload, put there by `_begin`."""
    chosen: bytes | None = request.param
    return chosen


async def _begin(desk: ClientWorkspace, previous: bytes | None) -> None:
    if previous is not None:
        await desk.put("x", previous)


@asynccontextmanager
async def _held(proxy: FaultProxy, *apis: str, skip: int = 0) -> AsyncIterator[Rule]:
    """Requests of these APIs wait until the end of the block."""
    rule = proxy.on(*apis, do=Hold(), skip=skip)
    try:
        yield rule
    finally:
        rule.release()


@pytest.mark.parametrize("client", ["sftp", "scp", "lftp", "rclone"])
async def test_a_client_that_is_killed_in_mid_upload(
    troubled: ClientWorkspace, proxy: FaultProxy, previous: bytes | None, client: str
) -> None:
    await _begin(troubled, previous)
    file = troubled.file("x", HUGE)
    start: dict[str, Callable[[], Awaitable[object]]] = {
        "sftp": lambda: troubled.clients.start_sftp(f"put {file} {troubled.remote}/x"),
        "scp": lambda: troubled.clients.start_scp(str(file), troubled.clients.remote(f"{troubled.remote}/x")),
        "rclone": lambda: troubled.clients.start_rclone(
            "copyto", str(file), f"alice:{troubled.remote}/x", program=installed("rclone")
        ),
        "lftp": lambda: troubled.clients.start_lftp(f"put {file} -o {troubled.remote}/x"),
    }
    async with _held(proxy, "UploadPart", skip=1) as rule, await start[client]() as running:  # type: ignore[attr-defined]
        await rule.reached()
        assert await troubled.uploads()
        await running.kill()
        await _nothing_is_published(troubled, previous=previous)
    await _nothing_is_left(troubled, previous=previous)
    assert proxy.log.count("CompleteMultipartUpload", "PutObject") == 0


@pytest.mark.parametrize("size", [1000, BIG])
@pytest.mark.parametrize("vice", ["drops the connection", "disconnects", "sends EOF", "closes the channel"])
async def test_a_client_that_leaves_before_close(
    troubled: ClientWorkspace, proxy: FaultProxy, previous: bytes | None, vice: str, size: int
) -> None:
    await _begin(troubled, previous)
    ended = troubled.server.count("session.ended")
    async with troubled.clients.asyncssh() as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open(f"{troubled.remote}/x", "wb")
        await file.write(content(size))
        leave(connection, sftp, vice)
        await troubled.server.until(
            lambda: troubled.server.count("session.ended") > ended, "the session to end"
        )
        await _nothing_is_left(troubled, previous=previous)
    assert proxy.log.count("CompleteMultipartUpload", "PutObject") == 0


async def test_a_connection_that_is_lost_while_a_part_is_on_its_way(
    troubled: ClientWorkspace, proxy: FaultProxy, previous: bytes | None
) -> None:
    await _begin(troubled, previous)
    ended = troubled.server.count("session.ended")
    async with _held(proxy, "UploadPart") as rule, troubled.clients.asyncssh() as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open(f"{troubled.remote}/x", "wb")
        writing = asyncio.create_task(file.write(content(BIG)))
        await rule.reached()
        connection._transport.abort()  # type: ignore[union-attr]
        await asyncio.gather(writing, return_exceptions=True)
        await troubled.server.until(
            lambda: troubled.server.count("session.ended") > ended, "the session to end"
        )
    await _nothing_is_left(troubled, previous=previous)


async def test_a_connection_that_is_lost_after_close_was_sent_leaves_a_whole_file_or_none(
    troubled: ClientWorkspace, proxy: FaultProxy, previous: bytes | None
) -> None:
    await _begin(troubled, previous)
    ended = troubled.server.count("session.ended")
    async with _held(proxy, "CompleteMultipartUpload") as rule, troubled.clients.asyncssh() as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open(f"{troubled.remote}/x", "wb")
        await file.write(content(BIG))
        closing = asyncio.create_task(file.close())
        await rule.reached()
        connection._transport.abort()  # type: ignore[union-attr]
        await asyncio.gather(closing, return_exceptions=True)
        rule.release()
        await troubled.server.until(
            lambda: troubled.server.count("session.ended") > ended, "the session to end"
        )
    async with asyncio.timeout(20):
        while await troubled.uploads():
            await asyncio.sleep(0.05)
    found = await troubled.body("x") if await troubled.keys() else None
    assert found in (previous, content(BIG))


@pytest.mark.parametrize("size", [BIG, HUGE], ids=["CLOSE has come", "CLOSE has not come"])
async def test_sigterm_aborts_what_does_not_end_in_time_and_exits_with_0(
    mortal: ClientWorkspace, proxy: FaultProxy, previous: bytes | None, size: int
) -> None:
    await _begin(mortal, previous)
    file = mortal.file("x", size)
    async with _held(proxy, "UploadPart", skip=1) as rule:
        async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x") as running:
            await rule.reached()
            mortal.server.terminate()
            assert await mortal.server.ended() == 0
            (await running.result()).failed()
    await _nothing_is_left(mortal, previous=previous)


@PATIENT
async def test_sigterm_lets_an_upload_finish_that_can(mortal: ClientWorkspace, proxy: FaultProxy) -> None:
    file = mortal.file("x", BIG)
    async with _held(proxy, "UploadPart", skip=1) as rule:
        async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x") as running:
            await rule.reached()
            mortal.server.terminate()
            await asyncio.sleep(0.5)
            rule.release()
            (await running.result()).ok()
            assert await mortal.server.ended() == 0
    assert await mortal.body("x") == content(BIG)


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_lets_a_close_that_has_come_be_answered_long_after_the_drain_time(
    seaweed: Store, bucket: str, proxy: FaultProxy, tmp_path: Path, workers: int
) -> None:
    options = {"server": {"drain_timeout": "500 ms", "workers": workers}}
    server = Server(tmp_path / "server", seaweed.behind(proxy.url), bucket, options)
    file = tmp_path / "x"
    file.write_bytes(content(1000))
    try:
        await server.astart()
        clients = Clients(server, tmp_path / "home")
        async with _held(proxy, "PutObject") as rule, await clients.start_sftp(f"put {file} /x") as running:
            await rule.reached()
            server.terminate()
            await server.until(lambda: server.count("transfers.cut_off") > 0, "the drain time to pass")
            await asyncio.sleep(12)  # longer than what ends without a promise is waited for
            assert running.running
            rule.release()
            (await running.result()).ok()
            assert await server.ended() == 0
        assert not server.events("worker.killed")
        async with s3_client(seaweed, bucket) as s3:
            assert await s3.body("alice/x") == content(1000)
    finally:
        server.close()


@PATIENT
async def test_sigterm_refuses_new_connections_while_it_drains(
    mortal: ClientWorkspace, proxy: FaultProxy
) -> None:
    file = mortal.file("x", BIG)
    async with _held(proxy, "UploadPart", skip=1) as rule:
        async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x") as running:
            await rule.reached()
            mortal.server.terminate()
            async with asyncio.timeout(30):
                while (await mortal.clients.sftp("pwd")).status == 0:
                    await asyncio.sleep(0.1)
            assert running.running
            rule.release()
            (await running.result()).ok()


@pytest.mark.parametrize("where", ["first part", "later part", "complete"])
async def test_sigkill_of_the_server_leaves_an_upload_that_the_next_start_removes(
    mortal: ClientWorkspace, proxy: FaultProxy, previous: bytes | None, where: str
) -> None:
    await _begin(mortal, previous)
    foreign = await mortal.s3.client.create_multipart_upload(
        Bucket=mortal.s3.bucket, Key=f"{mortal.key_prefix}x"
    )
    held = {
        "first part": (["UploadPart"], 0),
        "later part": (["UploadPart"], 2),
        "complete": (["CompleteMultipartUpload"], 0),
    }[where]
    file = mortal.file("x", BIG)
    async with _held(proxy, *held[0], skip=held[1]) as rule:
        async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x") as running:
            await rule.reached()
            mortal.server.kill()
            (await running.result()).failed()
    await _nothing_is_published(mortal, previous=previous)
    assert len(await mortal.uploads()) == 2
    await mortal.server.restart()
    async with asyncio.timeout(20):
        while len(await mortal.uploads()) > 1:
            await asyncio.sleep(0.05)
    await _nothing_is_published(mortal, previous=previous)
    assert [upload for _, upload in await mortal.s3.multipart_uploads()] == [foreign["UploadId"]]
    (await mortal.clients.sftp(f"put {file} {mortal.remote}/x")).ok()
    assert await mortal.body("x") == content(BIG)


async def test_sigkill_between_create_and_its_answer_is_cleaned_up_too(
    mortal: ClientWorkspace, proxy: FaultProxy
) -> None:
    rule = proxy.on("CreateMultipartUpload", do=HoldReply())
    file = mortal.file("x", BIG)
    async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x") as running:
        await rule.reached()
        async with asyncio.timeout(30):
            while not await mortal.uploads():
                await asyncio.sleep(0.02)
        mortal.server.kill()
        (await running.result()).failed()
    rule.release()
    await mortal.server.restart()
    await _nothing_is_left(mortal, previous=None)


PLACES = [
    (api, skip, kind)
    for kind in (Hold, HoldReply)
    for api, skip in (
        ("CreateMultipartUpload", 0),
        *(("UploadPart", number) for number in range(8)),
        ("CompleteMultipartUpload", 0),
    )
]
"""Before and after S3 does each thing that an upload of eight parts asks it for: twenty places."""
EIGHT_PARTS = 8 * PART_BYTES


@pytest.mark.timeout(400)  # it starts the server twenty times
async def test_sigkill_of_the_server_at_any_place_of_an_upload_leaves_all_of_the_file_or_none(
    mortal: ClientWorkspace, proxy: FaultProxy
) -> None:
    file = mortal.file("x", EIGHT_PARTS)
    for number, (api, skip, kind) in enumerate(PLACES):
        await mortal.put(f"x{number}", OLD)
        rule = proxy.on(api, do=kind(), skip=skip, key=f"/x{number}$", times=1)
        async with await mortal.clients.start_sftp(f"put {file} {mortal.remote}/x{number}") as running:
            await rule.reached()
            if kind is HoldReply:
                await _is_done_by_s3(proxy)
            mortal.server.kill()
            (await running.result()).failed()
        rule.release()
        found = await mortal.body(f"x{number}")
        assert found == (
            content(EIGHT_PARTS) if (api, kind) == ("CompleteMultipartUpload", HoldReply) else OLD
        )
        await mortal.server.astart()
    async with asyncio.timeout(30):
        while await mortal.uploads():
            await asyncio.sleep(0.1)
    assert len(await mortal.keys()) == len(PLACES)


async def _is_done_by_s3(proxy: FaultProxy) -> None:
    """Wait until S3 has answered the request whose reply is held."""
    async with asyncio.timeout(20):
        while not any(seen.reply_held for seen in proxy.running()):
            await asyncio.sleep(0.02)


async def test_an_s3_that_restarts_in_mid_upload_leaves_all_of_the_file_or_none(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    file = troubled.file("x", BIG)
    rule = proxy.on("UploadPart", do=Hold(), skip=1, times=1)
    async with await troubled.clients.start_sftp(f"put {file} {troubled.remote}/x") as running:
        await rule.reached()
        await proxy.down()
        await asyncio.sleep(0.3)
        await proxy.up()
        result = await running.result()
    async with asyncio.timeout(20):
        while await troubled.uploads():
            await asyncio.sleep(0.05)
    if result.status == 0:
        assert await troubled.body("x") == content(BIG)
    else:
        assert await troubled.keys() == []
