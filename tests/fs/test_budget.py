"""The byte budget: bounded, fair, and never a deadlock."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.errors import Busy
from s3sftp.fs.budget import Budget


async def upload(budget: Budget, owner: object, *, chunk: int, step: int, storing: float = 0.0) -> None:
    """Fill one chunk, send it, and give it back when it is stored."""
    for held in range(0, chunk, step):
        await budget.take(step, owner, chunk - held)
        await asyncio.sleep(0)
    budget.send(chunk, owner)
    await asyncio.sleep(storing)
    budget.sent(chunk)


async def test_room_that_is_there_is_taken_at_once() -> None:
    budget = Budget(100)
    assert budget.try_take(60, "a", 60)
    assert not budget.try_take(60, "b", 60)
    budget.give(60)
    assert budget.try_take(60, "b", 60)


async def test_what_is_reserved_is_not_given_to_others() -> None:
    budget = Budget(100)
    assert budget.try_take(10, "a", 80)
    assert not budget.try_take(30, "b", 30)
    assert budget.try_take(70, "a", 70)
    assert budget.used == 80


async def test_who_waits_is_served_in_order() -> None:
    budget, order = Budget(100), []
    assert budget.try_take(10, "busy", 100)

    async def wait(name: str) -> None:
        await budget.take(40, name, 40)
        order.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in ("first", "second")]
    await asyncio.sleep(0.01)
    assert order == []
    budget.end_turn("busy")
    await asyncio.gather(*tasks)
    assert order == ["first", "second"]


async def test_uploads_that_together_need_more_than_there_is_all_finish_within_the_budget() -> None:
    budget = Budget(100)
    work = (upload(budget, n, chunk=40, step=10, storing=0.005) for n in range(30))
    await asyncio.wait_for(asyncio.gather(*work), 10)
    assert budget.used == 0
    assert budget.peak <= 100


async def test_a_chunk_larger_than_the_budget_goes_through_alone() -> None:
    budget = Budget(100)
    work = (upload(budget, n, chunk=150, step=50, storing=0.005) for n in range(3))
    await asyncio.wait_for(asyncio.gather(*work), 10)
    assert budget.used == 0
    assert budget.peak <= 100 + 150


async def test_clients_that_stop_in_mid_chunk_do_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("s3sftp.fs.budget._FILL_SECONDS", 0.02)
    monkeypatch.setattr("s3sftp.fs.budget._LOOK_SECONDS", 0.01)
    budget = Budget(100, wait_seconds=5)
    for owner in ("stopped", "stopped too"):
        assert budget.try_take(30, owner, 50)
    await asyncio.wait_for(upload(budget, "good", chunk=80, step=20), 20)
    assert budget.used == 60


async def test_who_waits_too_long_is_told_that_the_server_is_busy() -> None:
    budget = Budget(10, wait_seconds=0.05)
    assert budget.try_take(10, "a", 10)
    budget.send(10, "a")
    with pytest.raises(Busy):
        await budget.take(5, "b", 5)
    budget.sent(10)
    assert budget.used == 0


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    budget = Budget(10)
    assert budget.try_take(10, "a", 10)
    budget.send(10, "a")
    task = asyncio.create_task(budget.take(5, "b", 5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    budget.sent(10)
    assert budget.used == 0


async def test_who_is_cancelled_just_when_its_turn_comes_takes_nothing() -> None:
    budget = Budget(10)
    assert budget.try_take(10, "a", 10)
    budget.send(10, "a")
    task = asyncio.create_task(budget.take(5, "b", 5))
    await asyncio.sleep(0)
    budget.sent(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.used == 0


async def test_a_write_that_crosses_the_end_of_its_chunk_completes_it() -> None:
    budget = Budget(100)
    assert budget.try_take(30, "a", 50)
    assert budget.try_take(50, "b", 50)
    assert budget.try_take(30, "a", 30)
    assert budget.used == 110


async def test_small_waiters_exceed_a_full_budget_one_at_a_time() -> None:
    budget = Budget(100, wait_seconds=0.5)
    assert budget.try_take(100, "partial", 100)
    waiting = [asyncio.create_task(budget.take(10, n, 10)) for n in range(50)]
    await asyncio.wait(waiting)
    assert budget.peak <= 100 + 2 * 10
    assert sum(task.exception() is None for task in waiting) <= 2


async def test_bytes_that_wait_for_earlier_ones_never_exceed_the_budget() -> None:
    budget = Budget(100, wait_seconds=0.1)
    assert budget.try_take(100, "partial", 100)
    with pytest.raises(Busy):
        await budget.take(10, "far ahead", 10, may_exceed=False)
    assert budget.used == 100


async def test_slow_clients_whose_chunks_together_are_larger_than_the_budget_all_get_their_bytes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("s3sftp.fs.budget._FILL_SECONDS", 0.02)
    monkeypatch.setattr("s3sftp.fs.budget._LOOK_SECONDS", 0.01)
    budget = Budget(100, wait_seconds=5)

    async def slow(name: int) -> None:
        await asyncio.sleep(name / 100)
        for held in range(0, 40, 10):
            await budget.take(10, name, 40 - held)
            await asyncio.sleep(0.03)
        budget.send(40, name)
        budget.sent(40)

    await asyncio.wait_for(asyncio.gather(*(slow(n) for n in range(6))), 20)
    assert budget.used == 0
