"""The byte budget: bounded, fair, and never a deadlock."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.errors import Busy
from s3sftp.fs.budget import Budget


async def test_room_that_is_there_is_taken_at_once() -> None:
    budget = Budget(100)
    assert budget.try_take(60)
    assert not budget.try_take(60)
    budget.give(60)
    assert budget.try_take(60)


async def test_who_waits_is_served_in_order() -> None:
    budget, order = Budget(100), []
    lease_holder = object()
    await budget.take(100, lease_holder)
    await budget.take(10, lease_holder)  # the oldest waiter of a full budget exceeds it

    async def worker(name: str) -> None:
        await budget.take(50, name)
        order.append(name)

    tasks = [asyncio.create_task(worker(name)) for name in ("first", "second")]
    await asyncio.sleep(0)
    assert order == []
    budget.give(110)
    await asyncio.gather(*tasks)
    assert order == ["first", "second"]


async def test_uploads_that_each_hold_part_of_a_chunk_never_wait_for_each_other_for_ever() -> None:
    budget = Budget(100)
    finished = []

    async def upload(name: str) -> None:
        for _ in range(8):
            await budget.take(10, name)  # a chunk is 80 bytes; three of them do not fit
            await asyncio.sleep(0)
        budget.end_lease(name)
        budget.give(80)
        finished.append(name)

    await asyncio.wait_for(asyncio.gather(*(upload(n) for n in "abc")), 5)
    assert sorted(finished) == ["a", "b", "c"]
    assert budget.used == 0
    assert budget.peak <= 100 + 80


async def test_who_waits_too_long_is_told_that_the_server_is_busy() -> None:
    budget = Budget(10, wait_seconds=0.05)
    holder = object()
    await budget.take(10, holder)
    await budget.take(1, holder)
    with pytest.raises(Busy):
        await budget.take(5, object())
    assert budget.used == 11


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    budget = Budget(10)
    holder = object()
    await budget.take(10, holder)
    await budget.take(1, holder)
    task = asyncio.create_task(budget.take(5, object()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    budget.give(11)
    assert budget.used == 0
