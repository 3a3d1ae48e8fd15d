"""What replicas that share quotas do when they disturb each other, get lost, or come back.

Processes on one table in memory, in a time of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from s3sftp.app.storage_options import place_identity
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.backends import Amount, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.s3 import S3Options
from s3sftp.errors import Busy
from s3sftp.fs.quota import QuotaLedger
from s3sftp.fs.quota.holds import Change
from s3sftp.fs.quota.quotas import Counts, Quota, reconciled
from s3sftp.shared_state.quota_records import record_in
from s3sftp.shared_state.quota_table import QuotaTable
from s3sftp.shared_state.shared_quotas import SharedQuotas
from s3sftp.telemetry.metric_catalogue import SHARED_STATE_DOWN
from s3sftp.telemetry.metrics import Metrics
from tests.shared_state.test_quotas_of_replicas import in_virtual_time
from tests.support.memory_table import MemoryItems, MemoryTable, no_answer
from tests.support.virtual_time import now

A = Amount
INTERVAL = 5.0
QUOTA = Quota(bytes=100)
ACME, OTHER = "\0acme", "\0other"


class Process:
    """What one process knows, and its table."""

    def __init__(self, items: MemoryItems) -> None:
        self.table = MemoryTable(items)
        self.metrics = Metrics()
        self.shared = QuotaTable(
            cast(Any, self.table), interval=INTERVAL, metrics=self.metrics, wall_clock=now, clock=now
        )
        self.quotas = SharedQuotas(self.shared, lambda _, key: key)
        self.running = asyncio.create_task(self.quotas.run())

    async def begin_count(self, place: str = ACME) -> Any:
        return await self.quotas.count_begins(place, await self.quotas.tally(place))

    async def count(self, truth: Amount, place: str = ACME) -> None:
        before = await self.begin_count(place)
        after = await self.quotas.count_ends(place)
        stored = reconciled(before, after, truth)
        assert stored is not None
        await self.quotas.set_stored(place, stored, after, now())

    async def holds(self, more: Amount, place: str = ACME) -> bool:
        """Whether that much is admitted, and held."""
        return (await self.quotas.take(place, more, more, QUOTA)).limit is None

    async def stored(self, place: str = ACME) -> Amount | None:
        return (await self.quotas.look(place)).stored


@asynccontextmanager
async def processes(count: int = 2) -> AsyncIterator[list[Process]]:
    items = MemoryItems()
    made = [Process(items) for _ in range(count)]
    yield made
    for each in made:
        each.running.cancel()
    await asyncio.gather(*(each.running for each in made), return_exceptions=True)


def store(endpoint_url: str | None, bucket: str = "sftp", prefix: str = "") -> S3Options:
    return S3Options(bucket=bucket, endpoint_url=endpoint_url, region="us-east-1", prefix=prefix)


def test_stores_with_buckets_of_the_same_name_have_places_of_their_own() -> None:
    one, two = store("https://one.example.com"), store("https://two.example.com")
    assert place_identity(one, "acme") != place_identity(two, "acme")
    assert place_identity(one, "acme") == place_identity(store("https://ONE.example.com/"), "acme")
    regional = "https://s3.us-east-1.amazonaws.com"
    assert place_identity(store(None), "acme") == place_identity(store(regional), "acme")
    assert place_identity(store("https://one.example.com/a", "b"), "c") != place_identity(
        store("https://one.example.com", "a"), "b/c"
    )
    assert place_identity(store(None, prefix="in/"), "acme") == place_identity(store(None), "in/acme")


@in_virtual_time
async def test_two_names_of_one_place_are_one_place() -> None:
    async with processes(1) as (one,):
        await one.count(A(90, 1))
        assert await one.holds(A(8, 1), "first\0acme")
        assert not await one.holds(A(8, 1), "second\0acme")
        assert len(one.table.items.items) == 1


@in_virtual_time
async def test_a_write_that_was_overtaken_is_decided_by_what_the_table_says_after_its_pause() -> None:
    """Another process writes at each moment at which this one waits, except between its read and its
    write."""
    async with processes() as (one, other):
        await one.count(A(0, 0))
        await asyncio.sleep(3 * INTERVAL)
        await one.quotas.look(ACME)
        place = next(iter(one.table.items.items))
        overtaking = 2

        async def overtake(what: str) -> None:
            """Only between a read and the pause before the next one."""
            nonlocal overtaking
            if what == "update" and overtaking == 2:
                overtaking = 1
                one.table.items.items[place]["version"] = "overtaken"
                asyncio.get_running_loop().call_later(1e-6, later)

        def later() -> None:  # during the pause
            nonlocal overtaking
            overtaking = 0
            one.table.items.items[place]["version"] = "again"

        one.table.weather = overtake
        writes = one.table.writes
        assert await one.holds(A(10, 1))
        assert not overtaking
        assert one.table.writes == writes + 2
        assert other.table.writes == 0


@in_virtual_time
async def test_what_a_process_that_was_lost_has_removed_is_subtracted_once() -> None:
    lost = False

    async def weather(what: str) -> None:
        if lost:
            raise no_answer()

    async with processes() as (one, other):
        one.table.weather = weather
        await other.count(A(90, 1))
        assert await one.holds(A(1, 1))
        lost = True
        assert await one.holds(A(0, 0))
        one.quotas.book(ACME, Counts(removed=A(60, 1)))
        await asyncio.sleep(20 * INTERVAL)
        await other.count(A(30, 0))  # for which the first one is dead
        assert await other.stored() == A(30, 0)
        lost = False
        await asyncio.sleep(4 * INTERVAL)
        one.quotas.book(ACME, Counts(held=A(-1, -1)))
        await asyncio.sleep(6 * INTERVAL)
        for each in (one, other):
            stored = await each.stored()
            assert stored is not None
            assert stored.bytes >= 30
            assert (await each.quotas.tally(ACME)).counted_at == 0  # so it is counted again
        assert not await other.holds(A(71, 1))
        await other.count(A(30, 0))
        assert await one.stored() == A(30, 0)


async def throttled(what: str) -> None:
    raise SourceFailed("slow down", "throttled", is_down=False, may_repeat=True)


@in_virtual_time
async def test_a_throttled_item_is_no_outage_of_the_table_and_is_logged_sparsely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with processes(1) as (one,):
        for place in (ACME, OTHER):
            await one.count(A(0, 0), place)
            assert await one.holds(A(10, 1), place)
            one.quotas.book(place, Counts(held=A(-10, -1), added=A(10, 1)))
        first = one.quotas._place(ACME).key
        update = one.table.update

        async def throttling(pk: str, sk: str, *given: Any, **more: Any) -> Any:
            return await throttled("update") if sk == first else await update(pk, sk, *given, **more)

        one.table.update = throttling  # type: ignore[method-assign]
        await asyncio.sleep(3 * INTERVAL)
        assert not one.shared.is_down
        assert one.metrics.table.total(SHARED_STATE_DOWN.row()) == 0
        second = one.table.items.items["quotas", one.quotas._place(OTHER).key]
        assert record_in(second).stored == A(10, 1)
        assert await one.holds(A(20, 1))  # as while the table does not answer
        await asyncio.sleep(20 * INTERVAL)
        assert caplog.text.count("shared_state.quota_throttled") == 2, "once a minute"
        one.table.update = update  # type: ignore[method-assign]


@in_virtual_time
async def test_what_others_overtake_all_the_time_is_refused_as_busy_and_holds_nothing() -> None:
    async with processes(1) as (one,):
        await one.count(A(0, 0))
        (item,) = one.table.items.items.values()
        versions = iter(range(10**6))

        async def overtake(what: str) -> None:
            if what == "update":
                item["version"] = str(next(versions))

        one.table.weather = overtake
        with pytest.raises(Busy):
            await one.holds(A(10, 1))
        assert not one.shared.is_down
        one.table.weather = None
        assert (await one.quotas.look(ACME)).counts.held == A(0, 0)
        assert await one.holds(A(10, 1))


@in_virtual_time
async def test_a_refusal_does_not_wait_until_a_killed_process_is_dead() -> None:
    async with processes() as (one, other):
        await one.count(A(0, 0))
        assert await other.holds(A(60, 1))
        other.running.cancel()
        began = now()
        assert await one.quotas.settle(ACME)
        assert now() - began <= 3 * INTERVAL
        began = now()
        await one.begin_count()  # a count has to know
        assert now() - began > 10 * INTERVAL


@in_virtual_time
async def test_refusals_at_the_same_time_settle_together() -> None:
    async with processes() as (one, other):
        await one.count(A(0, 0))
        assert await other.holds(A(60, 1))
        other.running.cancel()
        await asyncio.sleep(0.1)
        reads, began = one.table.reads, now()
        assert all(await asyncio.gather(*(one.quotas.settle(ACME) for _ in range(30))))
        assert one.table.reads - reads < 150
        assert now() - began <= 6 * INTERVAL


@in_virtual_time
async def test_whoever_is_refused_during_a_settling_waits_for_one_of_its_own() -> None:
    async with processes() as (one, other):
        await one.count(A(0, 0))
        assert await other.holds(A(60, 1))
        first = asyncio.create_task(one.quotas.settle(ACME))
        await asyncio.sleep(0.1)
        epoch = one.quotas._place(ACME).record.epoch
        second = asyncio.create_task(one.quotas.settle(ACME))
        assert await first
        assert await second
        assert one.quotas._place(ACME).record.epoch == epoch + 1


@in_virtual_time
async def test_a_settling_whose_client_leaves_is_done_by_the_next_one() -> None:
    async with processes() as (one, other):
        await one.count(A(0, 0))
        assert await other.holds(A(60, 1))
        every = [asyncio.create_task(one.quotas.settle(ACME)) for _ in range(2)]
        await asyncio.sleep(0.1)
        every[0].cancel()
        assert await every[1]


@in_virtual_time
async def test_a_process_that_lost_the_table_while_it_counted_lets_others_count_when_it_answers() -> None:
    lost = False

    async def weather(what: str) -> None:
        if lost:
            raise no_answer()

    async with processes() as (one, other):
        one.table.weather = weather
        before = await one.begin_count()
        assert before is not None
        lost = True
        after = await one.quotas.count_ends(ACME)
        await one.quotas.set_stored(ACME, A(10, 1), after, now())
        assert (await one.quotas.tally(ACME)).stored == A(10, 1)
        lost = False
        began = now()
        await other.count(A(10, 1))
        assert now() - began <= 3 * INTERVAL
        assert await one.stored() == A(10, 1)


@in_virtual_time
async def test_what_a_change_holds_at_one_place_is_not_given_back_while_it_waits_at_another() -> None:
    """A rename takes out of one place, which needs no room, and waits for room at the other."""
    async with processes() as (one, other):
        ledger = QuotaLedger(MemoryBackend({}), recount_seconds=1e9, counters=one.quotas, clock=now)
        source, target = (ledger.counted(Place((name,))) for name in (b"source", b"target"))
        for each in (source, target):
            await one.count(A(5, 1), each.name)
        assert await other.holds(A(60, 1), target.name)
        other.running.cancel()
        limits = {target: QUOTA}
        out, into = (ledger.hold([each], limits, Session("u")) for each in (source, target))

        async def give_back() -> None:
            await asyncio.sleep(2 * INTERVAL)
            other.quotas.book(target.name, Counts(held=A(-60, -1)))
            await other.quotas.turn()

        giving = asyncio.create_task(give_back())
        async with ledger.changing((out, Change(minus=A(50, 1))), (into, Change(plus=A(50, 1)))):
            assert giving.done()
            item = one.table.items.items["quotas", one.quotas._place(source.name).key]
            assert one.shared.process in record_in(item).shares
