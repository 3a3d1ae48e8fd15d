"""What a reader gets is every byte of one version, or an error; never less as if that were all."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import Result, installed
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, CutBody, Meanwhile, Reset, StallBody

SIZE = 20_000_000
CLIENTS = ("sftp", "scp", "lftp", "rclone")


async def _get(desk: ClientWorkspace, client: str) -> Result:
    here, there = desk.local / "back", f"{desk.remote}/x"
    match client:
        case "sftp":
            return await desk.clients.sftp(f"get {there} {here}", timeout=100)
        case "scp":
            return await desk.clients.scp(desk.clients.remote(there), str(here), timeout=100)
        case "lftp":
            return await desk.clients.lftp(f"get {there} -o {here}", timeout=100)
        case _:
            words = ("copyto", f"alice:{there}", str(here), "--retries", "1", "--low-level-retries", "1")
            return await desk.clients.rclone(*words, program=installed("rclone"), timeout=100)


PASSING = {
    "cut by FIN": CutBody(1_000_000),
    "cut by RST": CutBody(1_000_000, reset=True),
    "cut before the first byte": CutBody(0),
    "stalled": StallBody(1_000_000),
    "503": Answer(503, "SlowDown"),
    "reset": Reset(),
}


@pytest.mark.parametrize("fault", PASSING)
async def test_a_passing_fault_is_invisible(troubled: ClientWorkspace, proxy: FaultProxy, fault: str) -> None:
    await troubled.put("x", content(SIZE))
    rule = proxy.on("GetObject", do=PASSING[fault], times=1, skip=1)
    (await _get(troubled, "sftp")).ok()
    assert rule.hits == 1
    assert (troubled.local / "back").read_bytes() == content(SIZE)


@pytest.mark.parametrize("client", CLIENTS)
async def test_every_client_is_spared_a_cut_body(
    troubled: ClientWorkspace, proxy: FaultProxy, client: str
) -> None:
    await troubled.put("x", content(SIZE))
    proxy.on("GetObject", do=CutBody(1_000_000), times=2)
    (await _get(troubled, client)).ok()
    assert (troubled.local / "back").read_bytes() == content(SIZE)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_body_that_is_cut_again_and_again_is_an_error_not_an_end(
    troubled: ClientWorkspace, proxy: FaultProxy, client: str
) -> None:
    await troubled.put("x", content(SIZE))
    proxy.on("GetObject", do=CutBody(0), skip=1)
    (await _get(troubled, client)).failed()


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_object_that_is_replaced_in_mid_download_is_an_error(
    troubled: ClientWorkspace, proxy: FaultProxy, client: str
) -> None:
    await troubled.put("x", content(SIZE, 1))
    proxy.on("GetObject", do=Meanwhile(lambda: troubled.put("x", content(SIZE, 2))), skip=1, times=1)
    result = await _get(troubled, client)
    back = troubled.local / "back"
    if result.status == 0:  # a client may begin again by itself, and then has all of the new one
        assert back.read_bytes() == content(SIZE, 2)
    elif back.exists():
        got = back.read_bytes()
        assert content(SIZE, 1).startswith(got), "bytes of two versions, or of none"
    if client in ("sftp", "scp"):
        result.failed()


async def test_an_object_that_is_deleted_in_mid_download_is_no_such_file(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    def work() -> None:
        with troubled.clients.paramiko() as sftp, sftp.open(f"{troubled.remote}/x", "rb") as file:
            assert file.read(1000) == content(SIZE)[:1000]
            asyncio.run_coroutine_threadsafe(troubled.s3.delete(f"{troubled.key_prefix}x"), loop).result(20)
            file.seek(SIZE - 1000)
            with pytest.raises(FileNotFoundError):
                file.read(1000)

    await troubled.put("x", content(SIZE))
    proxy.on("GetObject", do=StallBody(2_000_000), times=1)
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(work)


async def test_other_handles_answer_while_a_download_stalls(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    await troubled.put("x", content(SIZE))
    await troubled.put("y", b"y")
    rule = proxy.on("GetObject", do=StallBody(1000), key="/x$", times=1)
    async with troubled.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        stalled = await sftp.open(f"{troubled.remote}/x", "rb")
        reading = asyncio.create_task(stalled.read(100_000, 0))
        await rule.reached()
        async with sftp.open(f"{troubled.remote}/y", "rb") as other:
            assert await other.read() == b"y"
        assert not reading.done()
        rule.release()
        assert await reading == content(SIZE)[:100_000]


async def test_a_missing_object_and_a_forbidden_one_differ(
    troubled: ClientWorkspace, proxy: FaultProxy
) -> None:
    def work() -> None:
        with troubled.clients.paramiko() as sftp:
            with pytest.raises(FileNotFoundError):
                sftp.open(f"{troubled.remote}/none", "rb")
            with pytest.raises(PermissionError):
                sftp.open(f"{troubled.remote}/forbidden", "rb")

    await troubled.put("forbidden", b"x")
    proxy.on("HeadObject", "GetObject", do=Answer(403, "AccessDenied"), key="forbidden")
    await asyncio.to_thread(work)
