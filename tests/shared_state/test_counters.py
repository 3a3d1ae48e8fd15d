"""Totals that replicas add to together, in moto's DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.shared_state import SharedStateOptions
from s3sftp.shared_state.counters import TableCounters
from s3sftp.shared_state.table import SharedTable as Table
from tests.support.aws_users import errs, loses_the_answer, running_relay
from tests.support.shared_table import SharedTable


@pytest.fixture
async def replicas(shared_table: SharedTable) -> AsyncIterator[tuple[TableCounters, TableCounters]]:
    """Two processes."""
    async with AsyncExitStack() as open_:
        relay = await open_.enter_async_context(running_relay(shared_table.moto))
        tables = [
            Table(SharedStateOptions(**shared_table.options(relay.url)), lambda _result: None)
            for _ in range(2)
        ]
        for table in tables:
            open_.push_async_callback(table.close)
            await table.start()
        yield TableCounters(tables[0], 3600), TableCounters(tables[1], 3600)


Both = tuple[TableCounters, TableCounters]


async def test_additions_of_replicas_at_once_are_all_counted(replicas: Both) -> None:
    assert await replicas[0].totals("acme:/in") is None
    amounts = {"bytes": 1_000_000_000_000_007, "files": 1}
    await asyncio.gather(*(replica.add("acme:/in", amounts) for replica in replicas * 10))
    assert await replicas[0].totals("acme:/in") == {"bytes": 20_000_000_000_000_140, "files": 20}
    assert await replicas[1].add("acme:/in", {"bytes": -7, "files": -1}) == {
        "bytes": 20_000_000_000_000_133,
        "files": 19,
    }
    assert await replicas[1].totals("acme:/out") is None


async def test_a_total_is_replaced_only_if_nobody_has_added_meanwhile(replicas: Both) -> None:
    one, other = replicas
    assert await one.set_if("acme", {"bytes": 5, "files": 1}, {"bytes": 0, "files": 0})
    await other.add("acme", {"bytes": 3})
    assert not await one.set_if("acme", {"bytes": 100}, {"bytes": 5})
    assert await one.set_if("acme", {"bytes": 100}, {"bytes": 8, "files": 1})
    assert await other.totals("acme") == {"bytes": 100, "files": 1}


async def test_an_addition_whose_answer_was_lost_is_not_counted_twice(shared_table: SharedTable) -> None:
    async with running_relay(shared_table.moto) as relay:
        table = Table(SharedStateOptions(**shared_table.options(relay.url, retries=2)), lambda _result: None)
        await table.start()
        counters = TableCounters(table, 3600)
        relay.fault = loses_the_answer(relay)
        assert await counters.add("acme", {"bytes": 5}) == {"bytes": 5}
        relay.fault = loses_the_answer(relay)
        assert await counters.set_if("acme", {"bytes": 7}, {"bytes": 5})
        await table.close()


async def test_without_an_answer_nobody_invents_a_total(shared_table: SharedTable) -> None:
    async with running_relay(shared_table.moto) as relay:
        table = Table(SharedStateOptions(**shared_table.options(relay.url)), lambda _result: None)
        await table.start()
        relay.fault = errs("ThrottlingException")
        for asked in (TableCounters(table, 3600).add("acme", {"bytes": 5}), table.get("counters", "acme")):
            with pytest.raises(SourceFailed):
                await asked
        await table.close()


async def test_names_that_the_item_needs_itself_are_refused(replicas: Both) -> None:
    for name in ("pk", "token", "expires", "a b", "a#"):
        with pytest.raises(ValueError, match="should be names of totals"):
            await replicas[0].add("acme", {name: 1})


async def test_a_scope_expires_after_its_last_addition(replicas: Both, shared_table: SharedTable) -> None:
    await replicas[0].add("acme", {"bytes": 1})
    counters = TableCounters(replicas[0]._table, 3600, lambda: 2_000_000_000)
    await counters.add("acme", {"bytes": 1})
    (item,) = shared_table.items("counters")
    assert (item["bytes"], item["expires"]) == (2, 2_000_003_600)
