"""A short soak; `python -m tests.soak` for a long one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends.s3 import S3Backend
from testbed.packets import CREAT, TRUNC, W
from testbed.s3_store import Store
from tests.model.world import s3_world
from tests.soak.soak import Left, soak
from tests.soak.work import BLOCK, Worker

pytestmark = pytest.mark.long


async def test_after_many_sessions_nothing_is_left(seaweed: Store) -> None:
    async with s3_world(seaweed, meddles=False) as world:
        done = await soak(world, sessions=10, seconds=2)
    assert {"put", "get", "list", "move", "remove", "vanish"} <= done.keys()


class Kept(list[object]):
    """What a vice keeps of each session: more than a connection that was closing at the first count."""

    def keep(self, what: str) -> None:
        if what == "descriptors":
            self.extend(os.dup(0) for _ in range(20))
        elif what == "tasks":
            self.extend(asyncio.create_task(asyncio.sleep(3600)) for _ in range(20))
        elif what == "objects":
            self.extend([{}] for _ in range(1000))
        else:
            self.append(b"x" * (16 << 20))

    async def let_go(self) -> None:
        for each in self:
            if isinstance(each, int):
                os.close(each)
            elif isinstance(each, asyncio.Task):
                each.cancel()
        self.clear()


@pytest.mark.parametrize("what", ["descriptors", "tasks", "objects", "resident bytes"])
async def test_what_each_session_leaves_is_found(
    what: str, seaweed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    session: Callable[[Worker], Awaitable[None]] = Worker.session

    async def leaving(self: Worker) -> None:
        await session(self)
        kept.keep(what)

    monkeypatch.setattr(Worker, "session", leaving)
    monkeypatch.setattr("tests.soak.soak.PATIENCE_SECONDS", 2)
    async with s3_world(seaweed, meddles=False) as world:
        try:
            with pytest.raises(Left, match=f"{what}.* have grown"):
                await soak(world, sessions=8, seconds=0)
        finally:
            await kept.let_go()


async def test_an_upload_that_is_never_aborted_is_found(
    seaweed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave_large_upload(self: Worker) -> None:
        async with self.server.client(f"user{self.number}") as client:
            handle = await client.open(self.directory + b"/large", W | CREAT | TRUNC)
            for at in range(0, 32 * BLOCK, BLOCK):
                await client.write(handle, at, bytes(BLOCK))

    async def keep(*_: object) -> None:
        """Do not abort."""

    monkeypatch.setattr(Worker, "session", leave_large_upload)
    monkeypatch.setattr(S3Backend, "abort_write", keep)
    async with s3_world(seaweed, meddles=False) as world:
        with pytest.raises(Left, match="unfinished uploads"):
            await soak(world, sessions=2, seconds=0)
