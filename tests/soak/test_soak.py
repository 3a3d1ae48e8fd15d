"""A short soak; `python -m tests.soak` for a long one."""

from __future__ import annotations

from tests.model.world import s3_world
from tests.soak.soak import soak
from tests.support.store import Store


async def test_after_many_sessions_nothing_is_left(seaweed: Store) -> None:
    async with s3_world(seaweed, meddles=False) as world:
        done = await soak(world.server, world.unfinished_uploads, sessions=10, seconds=5)
    assert {"put", "get", "list", "move", "remove", "vanish"} <= done.keys()
