"""`s3sftp bans` while the table is slow: what it answers, and what becomes of a lift."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from s3sftp.app.shared_state import answer_with_replicas
from tests.shared_state.sharing_replicas import Replica, replicas
from tests.support.shared_table import SharedTable

A = "192.0.2.1"
SECONDS = 0.05
"""How long an answer waits for a table that does not answer before the test lets it."""


async def answer(replica: Replica, command: str, seconds: float = 30, **more: Any) -> Mapping[str, Any]:
    request = {"command": f"bans.{command}", **more}
    return await answer_with_replicas(replica.sharing, lambda: replica.defender, request, seconds)


async def test_answers_of_a_replica_that_could_not_read_the_table_in_time_say_so_and_a_lift_holds(
    shared_table: SharedTable,
) -> None:
    async with replicas(shared_table) as (one, other, relay):
        assert "warning" not in await answer(one, "list")
        other.defender.ban(A, 3600)
        await other.exchange()
        go_on = asyncio.Event()

        async def held(_request: web.Request) -> None:
            await go_on.wait()

        relay.fault = held
        listed = await answer(one, "list", SECONDS)
        assert listed["bans"] == []
        assert "other replicas may differ" in listed["warning"]
        lifted = await answer(one, "lift", SECONDS, address=A)
        assert not lifted["lifted"]
        assert "other replicas learn of this when it does" in lifted["warning"]
        relay.fault = None
        go_on.set()
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == []
        assert await answer(one, "list") == {"bans": []}
