"""The byte budget: bounded, fair, and never a deadlock. What it decides is in test_budget_ledger.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3sftp.errors import Busy, InvalidRequest
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.budget_ledger import SpaceRequest


class Upload:
    """One that fills chunks and sends them."""

    def __init__(self, budget: ByteBudget, chunk: int, *, storing: float = 0.0) -> None:
        self.budget = budget
        self.chunk = chunk
        self.front = 0
        self.failure: Exception | None = None
        self._storing = storing

    def ask(self, count: int) -> SpaceRequest:
        return SpaceRequest(count, self.chunk - self.front, own=self.front)

    def try_put(self, count: int) -> bool:
        taken = self.budget.try_acquire(self, self.ask(count))
        self.front += count if taken else 0
        return taken

    async def put(self, count: int) -> None:
        await self.budget.acquire(self, self.ask(count))
        self.front += count

    async def send(self) -> None:
        """Send what is there, and give it back when it is stored."""
        count, self.front = self.front, 0
        self.budget.send(self, count)
        await asyncio.sleep(self._storing)
        self.budget.sent(count)

    async def whole(self, step: int, pause: float = 0.0) -> None:
        """Put one chunk together, and send it."""
        for _ in range(0, self.chunk, step):
            await self.put(step)
            await asyncio.sleep(pause)
        await self.send()

    def send_if_full(self) -> None:
        if self.front == self.chunk:
            self.front = 0
            self.budget.send(self, self.chunk)
            self.budget.sent(self.chunk)

    def give_up(self, error: Exception) -> bool:
        self.failure, self.front = error, 0
        self.budget.end(self)
        return True


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes a hundred times as fast."""
    monkeypatch.setattr("s3sftp.fs.budget._REVIEW_SECONDS", 0.01)
    monkeypatch.setattr("s3sftp.fs.budget_ledger.FILL_SECONDS", 0.02)


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.005)


async def test_room_that_is_there_is_taken_at_once() -> None:
    budget = ByteBudget(100)
    first, second = Upload(budget, 60), Upload(budget, 60)
    assert first.try_put(60)
    assert not second.try_put(60)
    budget.release(first, 60)
    assert second.try_put(60)


async def test_what_is_reserved_is_not_given_to_others() -> None:
    budget = ByteBudget(100)
    first, second = Upload(budget, 80), Upload(budget, 30)
    assert first.try_put(10)
    assert not second.try_put(30)
    assert first.try_put(70)
    assert budget.used == 80


async def test_who_waits_is_served_in_order() -> None:
    budget, order = ByteBudget(100), []
    busy = Upload(budget, 100)
    assert busy.try_put(10)

    async def wait(name: str) -> None:
        await Upload(budget, 40).put(40)
        order.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in ("first", "second")]
    await asyncio.sleep(0.01)
    assert order == []
    budget.end(busy)
    await asyncio.gather(*tasks)
    assert order == ["first", "second"]


async def test_uploads_that_together_need_more_than_there_is_all_finish_within_the_budget() -> None:
    budget = ByteBudget(100)
    work = (Upload(budget, 40, storing=0.005).whole(step=10) for _ in range(30))
    await asyncio.wait_for(asyncio.gather(*work), 20)
    assert budget.used == 0
    assert budget.peak <= 100


async def test_a_chunk_larger_than_the_budget_goes_through_alone() -> None:
    budget = ByteBudget(100)
    work = (Upload(budget, 150, storing=0.005).whole(step=50) for _ in range(3))
    await asyncio.wait_for(asyncio.gather(*work), 20)
    assert budget.used == 0
    assert budget.peak <= 150


@pytest.mark.usefixtures("hurried")
async def test_clients_that_stop_in_mid_chunk_do_not_hold_up_the_others() -> None:
    budget = ByteBudget(100)
    stopped = [Upload(budget, 50), Upload(budget, 50)]
    for each in stopped:
        assert each.try_put(30)
    await asyncio.wait_for(Upload(budget, 80).whole(step=20), 20)
    assert budget.used == 60
    assert [each.failure for each in stopped] == [None, None]


@pytest.mark.usefixtures("hurried")
async def test_slow_clients_whose_chunks_together_are_larger_than_the_budget_all_get_their_bytes_in() -> None:
    budget = ByteBudget(100)

    async def slow(number: int) -> None:
        await asyncio.sleep(number / 100)
        await Upload(budget, 40).whole(step=10, pause=0.03)

    await asyncio.wait_for(asyncio.gather(*(slow(number) for number in range(6))), 20)
    assert budget.used == 0
    assert budget.peak <= 100 + 40


@pytest.mark.usefixtures("hurried")
async def test_a_full_chunk_whose_client_does_nothing_is_sent_when_another_needs_its_room() -> None:
    budget = ByteBudget(100)
    paused = [Upload(budget, 50), Upload(budget, 50)]
    for each in paused:
        assert each.try_put(50)
    await asyncio.sleep(0.05)
    assert [each.front for each in paused] == [50, 50]  # it may be the whole file, and nobody needs the room
    others = [Upload(budget, 50) for _ in range(2)]
    await asyncio.wait_for(asyncio.gather(*(each.put(40) for each in others)), 20)
    assert [each.front for each in paused] == [0, 0]
    assert budget.peak <= 100 + 50


@pytest.mark.usefixtures("hurried")
async def test_who_only_stands_in_the_way_of_others_is_given_up() -> None:
    budget = ByteBudget(100, wait_seconds=0.2)
    paused = [Upload(budget, 40) for _ in range(3)]
    for each in paused[:2]:
        assert each.try_put(10)
    await until_stale(budget)
    for each in paused:
        await each.put(35 - each.front)  # 105 of 100
    await asyncio.wait_for(Upload(budget, 40).whole(step=10), 20)
    assert [isinstance(each.failure, Busy) for each in paused] == [True, False, False]
    assert budget.peak <= 100 + 40


async def until_stale(budget: ByteBudget) -> None:
    """Until reservations are lost, which somebody has to wait for."""
    other = Upload(budget, 60)
    await other.put(60)
    budget.end(other)


async def test_who_waits_in_vain_is_told_that_the_server_is_busy(hurried: None) -> None:
    budget = ByteBudget(10, wait_seconds=0.05)
    storing = Upload(budget, 10)
    assert storing.try_put(10)
    budget.send(storing, 10)
    with pytest.raises(Busy):
        await Upload(budget, 5).put(5)
    budget.sent(10)
    assert budget.used == 0


async def test_who_waits_in_a_line_that_moves_waits_on(hurried: None) -> None:
    budget = ByteBudget(10, wait_seconds=2)
    work = (Upload(budget, 10, storing=0.25).whole(step=10) for _ in range(12))
    await asyncio.wait_for(asyncio.gather(*work), 20)


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    budget = ByteBudget(10)
    storing = Upload(budget, 10)
    assert storing.try_put(10)
    budget.send(storing, 10)
    task = asyncio.create_task(Upload(budget, 5).put(5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    budget.sent(10)
    assert budget.used == 0


async def test_who_is_cancelled_just_when_its_turn_comes_takes_nothing() -> None:
    budget = ByteBudget(10)
    storing = Upload(budget, 10)
    assert storing.try_put(10)
    budget.send(storing, 10)
    task = asyncio.create_task(Upload(budget, 5).put(5))
    await asyncio.sleep(0)
    budget.sent(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.used == 0


async def test_who_ends_while_waiting_waits_no_longer() -> None:
    budget = ByteBudget(10)
    storing, ended = Upload(budget, 10), Upload(budget, 5)
    assert storing.try_put(10)
    budget.send(storing, 10)
    task = asyncio.create_task(ended.put(5))
    await asyncio.sleep(0)
    budget.end(ended)
    with pytest.raises(InvalidRequest):
        await task
    budget.sent(10)
    assert budget.used == 0


@pytest.mark.usefixtures("hurried")
async def test_waiters_exceed_a_full_budget_one_at_a_time() -> None:
    budget = ByteBudget(100)
    partial = Upload(budget, 100)
    assert partial.try_put(100)
    partial.chunk = 101  # so that it is not sent
    waiting = [asyncio.create_task(Upload(budget, 10).put(5)) for _ in range(50)]
    await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.2)
    assert sum(task.done() for task in waiting) == 1
    assert budget.peak <= 110
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_bytes_that_wait_for_earlier_ones_never_exceed_the_budget(hurried: None) -> None:
    budget = ByteBudget(100, wait_seconds=2)
    partial = Upload(budget, 100)
    assert partial.try_put(100)
    partial.chunk = 101  # so that it is not sent, but given up
    await budget.acquire(Upload(budget, 10), SpaceRequest(10, 10, behind=True))
    assert isinstance(partial.failure, Busy)
    assert budget.peak == 100
