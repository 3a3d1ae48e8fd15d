"""A quota over all workers: none of them exceeds it with the others, and none leaves behind what it held."""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh
import pytest

from tests.workers.worker_server import WORKERS, WorkerServer

MIB = 1 << 20
OF_40_MIB = {"users.alice.quota": {"bytes": "40 MiB"}}
REFUSAL = "Failure: quota exceeded: at most 40 MiB may be stored here"


async def used(session: asyncssh.SFTPClient) -> int:
    """What statvfs says is used, in MiB."""
    found = await session.statvfs("/")
    assert found.blocks * found.frsize == 40 * MIB
    return (found.blocks - found.bfree) * found.frsize // MIB


@pytest.mark.parametrize("serving", [OF_40_MIB], indirect=True)
async def test_uploads_that_end_at_once_in_two_workers_store_just_what_fits(serving: WorkerServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(serving.client()) for _ in range(8)]
        assert {await client.worker() for client in clients} == set(range(1, WORKERS + 1))
        sessions = [await client.sftp() for client in clients]
        uploads = [await session.open(f"/f{at}", "wb") for at, session in enumerate(sessions)]
        await asyncio.gather(*(upload.write(bytes(7 * MIB)) for upload in uploads))
        ended = await asyncio.gather(*(upload.close() for upload in uploads), return_exceptions=True)
        refused = {f"/f{at}": str(each) for at, each in enumerate(ended) if each is not None}
        assert set(refused.values()) == {REFUSAL}
        assert len(refused) >= 3, "only five fit"
        assert [await used(session) for session in sessions] == [7 * (8 - len(refused))] * 8
        for at, name in enumerate(refused):  # one after another: now there is no doubt about what fits
            upload = await sessions[at].open(name, "wb")
            await upload.write(bytes(7 * MIB))
            if at < len(refused) - 3:
                await upload.close()
            else:
                with pytest.raises(asyncssh.SFTPFailure, match="quota exceeded"):
                    await upload.close()
        assert [await used(session) for session in sessions] == [35] * 8
        assert len(await sessions[0].glob("/f*")) == 5


@pytest.mark.parametrize("serving", [OF_40_MIB], indirect=True)
async def test_what_a_worker_that_died_had_stored_counts_and_what_it_held_does_not(
    serving: WorkerServer,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        dying, living = [await stack.enter_async_context(serving.client()) for _ in range(2)]
        number = await dying.worker()
        assert number != await living.worker()
        there, here = await dying.sftp(), await living.sftp()
        async with there.open("/stored", "wb") as file:
            await file.write(bytes(3 * MIB))
        upload = await there.open("/large", "wb")
        await upload.write(bytes(30 * MIB))
        async with asyncio.timeout(30):
            while await used(here) <= 3:
                await asyncio.sleep(0.05)
        serving.kill(number)
        await serving.server.until(lambda: serving.server.count("worker.ready") > WORKERS, "a new worker", 60)
        assert await used(here) == 3
        again = await stack.enter_async_context(serving.client())
        assert await again.worker() == number
        session = await again.sftp()
        await session.remove("/stored")
        assert await used(here) == await used(session) == 0
