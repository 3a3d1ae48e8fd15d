"""What S3 and networks do wrong, and what clients must see of it.

A lasting fault ends in a non-zero exit, with nothing new under the name; a passing one is invisible; a lost
reply to a request that did its work is a success.
"""

from __future__ import annotations

import asyncio

import paramiko
import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import Result, installed
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import (
    Action,
    Answer,
    CutBody,
    Delay,
    FlipRequestByte,
    Hold,
    LoseReply,
    Meanwhile,
    Reset,
)
from tests.support.server import PART_BYTES

SMALL, BIG = 1000, 3 * PART_BYTES + 7
OLD = b"the version before"
CLIENTS = ("sftp", "scp", "lftp", "rclone")


async def _put(desk: ClientWorkspace, client: str, size: int, name: str = "x") -> Result:
    file = desk.file(f"up/{name}", size, size)
    there = f"{desk.remote}/{name}"
    match client:
        case "sftp":
            return await desk.clients.sftp(f"put {file} {there}", timeout=100)
        case "scp":
            return await desk.clients.scp(str(file), desk.clients.remote(there), timeout=100)
        case "lftp":
            return await desk.clients.lftp(f"put {file} -o {there}", timeout=100)
        case _:
            words = ("copyto", str(file), f"alice:{there}", "--retries", "1", "--low-level-retries", "1")
            return await desk.clients.rclone(*words, program=installed("rclone"), timeout=100)


async def _is_not_there(desk: ClientWorkspace, previous: bytes | None) -> None:
    """Nothing new under any name, in S3 and over SFTP; no unfinished upload."""
    async with asyncio.timeout(20):
        while await desk.uploads():
            await asyncio.sleep(0.05)
    if previous is None:
        assert await desk.keys() == []
        assert "x" not in await _listed(desk)
    else:
        assert await desk.keys() == ["x"]
        assert await desk.body("x") == previous
        assert await _listed(desk) == {"x": len(previous)}


async def _listed(desk: ClientWorkspace) -> dict[str, int | None]:
    def work() -> dict[str, int | None]:
        with desk.clients.paramiko() as sftp:
            names: list[str] = sftp.listdir(desk.remote)
            return {name: sftp.stat(f"{desk.remote}/{name}").st_size for name in names}

    return await asyncio.to_thread(work)


WRITES = ("PutObject", "UploadPart")
Faults = dict[str, tuple[tuple[str, ...], Action]]


def _cases(faults: Faults) -> list[tuple[str, int]]:
    """Each fault with a small file and a big one; not those that a small one, one PutObject, never meets."""
    return [
        (fault, size)
        for fault, (apis, _) in faults.items()
        for size in (SMALL, BIG)
        if size == BIG or {"PutObject", "HeadObject"} & set(apis)
    ]


LASTING: Faults = {
    "503 for ever": (WRITES, Answer(503, "SlowDown")),
    "500 for ever": (WRITES, Answer(500, "InternalError")),
    "429 for ever": (WRITES, Answer(429, "TooManyRequests")),
    "403": (WRITES, Answer(403, "AccessDenied")),
    "token expired": (WRITES, Answer(400, "ExpiredToken")),
    "reset for ever": (WRITES, Reset()),
    "no answer": (WRITES, Hold()),
    "create fails": (("CreateMultipartUpload",), Answer(500, "InternalError")),
    "complete fails": (("CompleteMultipartUpload",), Answer(500, "InternalError")),
    "complete says 200 and an error": (("CompleteMultipartUpload",), Answer(200, "InternalError")),
    "a byte changed on the way": (WRITES, FlipRequestByte(at=100)),
    "abort fails too": ((*WRITES, "AbortMultipartUpload"), Answer(503, "SlowDown")),
}


@pytest.mark.parametrize(("fault", "size"), _cases(LASTING))
async def test_a_lasting_fault_fails_the_put_and_leaves_nothing(
    troubled: ClientWorkspace, proxy: FaultProxy, fault: str, size: int
) -> None:
    apis, action = LASTING[fault]
    rule = proxy.on(*apis, do=action)
    (await _put(troubled, "sftp", size)).failed()
    assert rule.hits
    proxy.clear()
    await _is_not_there(troubled, None)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [SMALL, BIG])
@pytest.mark.parametrize("previous", [None, OLD], ids=["new", "overwritten"])
async def test_every_client_sees_a_lasting_fault(
    troubled: ClientWorkspace, proxy: FaultProxy, client: str, size: int, previous: bytes | None
) -> None:
    if previous is not None:
        await troubled.put("x", previous)
    proxy.on("PutObject", "UploadPart", do=Answer(503, "SlowDown"))
    (await _put(troubled, client, size)).failed()
    proxy.clear()
    await _is_not_there(troubled, previous)


async def test_paramiko_which_swallows_the_error_of_close_finds_no_file(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    def work() -> None:
        with troubled.clients.paramiko() as sftp:
            sftp.put(str(file), f"{troubled.remote}/x", confirm=True)

    file = troubled.file("x", SMALL)
    proxy.on("PutObject", do=Answer(403, "AccessDenied"))
    with pytest.raises((OSError, paramiko.SSHException)):
        await asyncio.to_thread(work)
    await _is_not_there(troubled, None)


PASSING: Faults = {
    "503": (WRITES, Answer(503, "SlowDown")),
    "500": (WRITES, Answer(500, "InternalError")),
    "429": (WRITES, Answer(429, "TooManyRequests")),
    "reset": (WRITES, Reset()),
    "reply lost": (WRITES, LoseReply()),
    "slow": (WRITES, Delay(1.5)),
    "a byte changed on the way": (WRITES, FlipRequestByte(at=100)),
    "create: 503": (("CreateMultipartUpload",), Answer(503, "SlowDown")),
    "complete: 503": (("CompleteMultipartUpload",), Answer(503, "SlowDown")),
    "complete: 200 with an error": (("CompleteMultipartUpload",), Answer(200, "InternalError")),
    "complete: reply lost": (("CompleteMultipartUpload",), LoseReply()),
    "stat: 503": (("HeadObject", "ListObjectsV2"), Answer(503, "SlowDown")),
}


@pytest.mark.parametrize(("fault", "size"), _cases(PASSING))
async def test_a_passing_fault_is_invisible(
    troubled: ClientWorkspace, proxy: FaultProxy, fault: str, size: int
) -> None:
    apis, action = PASSING[fault]
    rule = proxy.on(*apis, do=action, times=1)
    (await _put(troubled, "sftp", size)).ok()
    assert rule.hits == 1
    assert await troubled.body("x") == content(size, size)
    assert await troubled.uploads() == []


async def test_a_complete_whose_reply_was_lost_and_whose_upload_is_gone_is_a_success(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    lost = proxy.on("CompleteMultipartUpload", do=LoseReply(), times=1)
    gone = proxy.on("CompleteMultipartUpload", do=Answer(404, "NoSuchUpload"))
    (await _put(troubled, "sftp", BIG)).ok()
    assert (lost.hits, gone.hits) == (1, 1)
    assert await troubled.body("x") == content(BIG, BIG)


async def test_an_upload_that_is_gone_although_nothing_was_lost_is_a_failure(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    proxy.on("CompleteMultipartUpload", do=Answer(404, "NoSuchUpload"))
    (await _put(troubled, "sftp", BIG)).failed()
    proxy.clear()
    await _is_not_there(troubled, None)


@pytest.mark.parametrize("client", CLIENTS)
async def test_every_client_is_spared_a_passing_fault(
    troubled: ClientWorkspace, proxy: FaultProxy, client: str
) -> None:
    for api in ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject"):
        proxy.on(api, do=Answer(503, "SlowDown"), times=1)
    for size in (SMALL, BIG):
        (await _put(troubled, client, size, f"x{size}")).ok()
        assert await troubled.body(f"x{size}") == content(size, size)


@pytest.mark.parametrize("size", [SMALL, BIG])
async def test_a_lost_reply_to_our_own_exclusive_write_is_a_success(
    troubled: ClientWorkspace, proxy: FaultProxy, size: int
) -> None:
    def work() -> None:
        with troubled.clients.paramiko() as sftp:
            file = sftp.open(f"{troubled.remote}/x", "wxb")
            file.set_pipelined(True)
            file.write(content(size))
            _close_honestly(sftp, file)

    rule = proxy.on("PutObject", "CompleteMultipartUpload", do=LoseReply(), times=1)
    await asyncio.to_thread(work)
    assert rule.hits == 1
    assert await troubled.body("x") == content(size)


@pytest.mark.parametrize("size", [SMALL, BIG])
async def test_an_exclusive_write_that_someone_else_was_faster_than_fails(
    troubled: ClientWorkspace, proxy: FaultProxy, size: int
) -> None:
    def work() -> None:
        with troubled.clients.paramiko() as sftp:
            file = sftp.open(f"{troubled.remote}/x", "wxb")
            file.set_pipelined(True)
            file.write(content(size))
            with pytest.raises(OSError, match="exists"):
                _close_honestly(sftp, file)

    proxy.on(
        "PutObject",
        "CompleteMultipartUpload",
        do=Meanwhile(lambda: troubled.put("x", b"someone else's")),
        times=1,
    )
    await asyncio.to_thread(work)
    assert await troubled.body("x") == b"someone else's"
    assert await troubled.uploads() == []


def _close_honestly(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """CLOSE whose status is looked at; paramiko's own `close` swallows it."""
    sftp._request(4, file.handle)  # type: ignore[attr-defined]


async def test_an_endpoint_that_is_down_fails_within_the_deadline_and_the_session_lives(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    file = troubled.file("x", SMALL)
    await proxy.down()
    async with asyncio.timeout(30):
        said = (await troubled.clients.sftp(f"-put {file} {troubled.remote}/x", "pwd")).ok().text
    assert "/x" in said
    assert "Remote working directory: /" in said
    await proxy.up()
    (await _put(troubled, "sftp", SMALL)).ok()


async def test_other_handles_answer_while_one_upload_hangs(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    await troubled.put("other", b"other")
    rule = proxy.on("PutObject", do=Hold(), key="/hangs$")

    def work() -> bytes:
        with troubled.clients.paramiko() as sftp:
            with sftp.open(f"{troubled.remote}/other", "rb") as other:
                return bytes(other.read())

    hanging = asyncio.create_task(_put(troubled, "sftp", SMALL, "hangs"))
    await rule.reached()
    assert await asyncio.to_thread(work) == b"other"
    rule.release()
    (await hanging).ok()


@pytest.mark.parametrize("client", CLIENTS)
async def test_nothing_about_the_storage_leaks_to_the_client(
    troubled: ClientWorkspace, proxy: FaultProxy, client: str
) -> None:
    proxy.on("PutObject", do=Answer(403, "AccessDenied", "AKIASECRET in bucket"))
    proxy.on("HeadObject", "ListObjectsV2", do=Answer(500, "InternalError"), key="x$")
    said = (await _put(troubled, client, SMALL)).failed().text
    secrets = (
        troubled.s3.bucket,
        proxy.url,
        troubled.server.store.access_key,
        "PROXY0000",
        "AKIA",
        "Traceback",
    )
    assert not [secret for secret in secrets if secret in said]


@pytest.mark.parametrize("at", ["CopyObject", "DeleteObject"])
async def test_a_rename_that_fails_loses_nothing_and_can_be_repeated(
    troubled: ClientWorkspace, proxy: FaultProxy, at: str
) -> None:
    await troubled.put("x", OLD)
    proxy.on(at, do=Answer(500, "InternalError"))
    line = f"rename {troubled.remote}/x {troubled.remote}/y"
    (await troubled.clients.sftp(line)).failed()
    assert {await troubled.body(name) for name in await troubled.keys()} == {OLD}
    proxy.clear()
    (await troubled.clients.sftp(line)).ok()
    assert await troubled.keys() == ["y"]
    assert await troubled.body("y") == OLD


async def test_a_rename_killed_between_copy_and_delete_leaves_both(
    mortal: ClientWorkspace, proxy: FaultProxy
) -> None:
    await mortal.put("x", OLD)
    rule = proxy.on("DeleteObject", do=Hold())
    async with await mortal.clients.start_sftp(f"rename {mortal.remote}/x {mortal.remote}/y") as running:
        await rule.reached()
        mortal.server.kill()
        (await running.result()).failed()
    rule.release()
    assert await mortal.keys() == ["x", "y"]
    proxy.clear()
    await mortal.server.restart()
    (await mortal.clients.sftp(f"rename {mortal.remote}/x {mortal.remote}/y")).ok()
    assert await mortal.keys() == ["y"]


async def test_a_listing_is_whole_or_an_error(troubled: ClientWorkspace, proxy: FaultProxy) -> None:
    await asyncio.gather(*(troubled.put(f"d/{number:04}", b"") for number in range(1100)))
    line = f"ls -1 {troubled.remote}/d"
    for fault in (Answer(503, "SlowDown"), CutBody(1000), CutBody(1000, reset=True)):
        rule = proxy.on("ListObjectsV2", do=fault, times=1, query="continuation-token")
        said = (await troubled.clients.sftp(line)).ok().text
        assert len([name for name in said.split() if "/d/" in name]) == 1100
        assert rule.hits == 1
    proxy.clear()
    proxy.on("ListObjectsV2", do=Answer(500, "InternalError"), query="continuation-token")
    (await troubled.clients.sftp(line)).failed()


async def test_the_files_of_a_directory_reach_s3_all_or_the_client_fails(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    for number in range(20):
        troubled.file(f"tree/{number:02}", 100, number)
    proxy.on("PutObject", do=Answer(403, "AccessDenied"), key="/13")
    words = ("copy", f"{troubled.local}/tree", f"alice:{troubled.remote}/tree", "--retries", "1")
    (await troubled.clients.rclone(*words, program=installed("rclone"))).failed()
    stored = [key for key in await troubled.keys() if not key.endswith("/")]
    assert sorted(stored) == [f"tree/{number:02}" for number in range(20) if number != 13]
