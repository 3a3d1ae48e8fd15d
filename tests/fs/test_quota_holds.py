"""What a change holds of its quotas is given back, whatever happens while it waits."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from s3sftp.backends import Amount, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import Busy, NoSpace
from s3sftp.fs import Quota, SharedQuotaCounts
from s3sftp.fs.quota import PlacedQuota, QuotaBackend, QuotaLedger
from s3sftp.fs.quota.counting import CountedPlace
from s3sftp.fs.quota.quotas import Taken
from s3sftp.telemetry.metrics import Metrics

A = Amount
USER = Session("u")
ACME, INNER = Place((b"acme",)), Place((b"acme", b"in"))


class Listed(MemoryBackend):
    """Storage that is listed when it may be."""

    def __init__(self) -> None:
        super().__init__({"acme/a": bytes(15)})
        self.may_list = asyncio.Event()
        self.may_list.set()
        self.is_listed = asyncio.Event()

    async def total_below(self, place: Place, session: Session) -> Amount:
        self.is_listed.set()
        await self.may_list.wait()
        return await super().total_below(place, session)


class Waiting(SharedQuotaCounts):
    """Numbers for which one waits."""

    waits: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.is_asked = asyncio.Event()
        self.busy = ""

    async def take(self, place: str, more: Amount, grows: Amount, quota: Quota) -> Taken:
        self.is_asked.set()
        await self.may_take.wait()
        if place == self.busy:
            raise Busy
        return await super().take(place, more, grows, quota)


async def held(ledger: QuotaLedger, place: CountedPlace) -> Amount:
    return (await ledger.counter.tally(place)).counts.held


async def test_what_ends_while_its_refusal_waits_for_a_count_holds_nothing_and_not_less() -> None:
    storage, time = Listed(), [1000.0]
    ledger = QuotaLedger(storage, recount_seconds=1e9, clock=lambda: time[0])
    place = ledger.counted(ACME)
    hold = ledger.hold([place], {place: Quota(30)}, USER)
    await hold.ready()
    await hold.set_to(A(10))
    time[0] += 100  # so the refusal counts again
    storage.may_list.clear()
    storage.is_listed.clear()
    growing = asyncio.create_task(hold.set_to(A(20)))
    await storage.is_listed.wait()
    hold.end()
    del storage.objects[b"acme/a"]  # so it would fit
    storage.may_list.set()
    with pytest.raises(NoSpace):
        await growing
    hold.end()
    assert await held(ledger, place) == A()


async def test_what_ends_while_it_takes_holds_nothing_also_if_that_fails() -> None:
    counters = Waiting()
    ledger = QuotaLedger(Listed(), recount_seconds=1e9, counters=counters)
    place = ledger.counted(ACME)
    hold = ledger.hold([place], {place: Quota(30)}, USER)
    await hold.ready()
    await hold.set_to(A(10))
    counters.may_take.clear()
    counters.is_asked.clear()
    counters.busy = place.name
    growing = asyncio.create_task(hold.set_to(A(12)))
    await counters.is_asked.wait()
    hold.end()
    counters.may_take.set()
    with pytest.raises(Busy):
        await growing
    assert await held(ledger, place) == A()


async def test_if_one_place_is_busy_nothing_is_held_at_the_others() -> None:
    counters = Waiting()
    ledger = QuotaLedger(Listed(), recount_seconds=1e9, counters=counters)
    outer, inner = ledger.counted(ACME), ledger.counted(INNER)
    hold = ledger.hold([outer, inner], {outer: Quota(30), inner: Quota(30)}, USER)
    await hold.ready()
    counters.busy = inner.name
    with pytest.raises(Busy):
        await hold.set_to(A(10))
    assert await held(ledger, outer) == await held(ledger, inner) == A()


async def test_a_client_that_leaves_while_room_is_looked_for_leaves_nothing_held() -> None:
    counters = Waiting()
    storage = Listed()
    ledger = QuotaLedger(storage, recount_seconds=1e9, counters=counters)
    quotas = QuotaBackend(storage, ledger, [PlacedQuota(ACME, Quota(30))], Metrics())
    (place,) = ledger.covering(ACME)
    await ledger.counter.ready(place, USER)
    counters.may_take.clear()
    looking = asyncio.create_task(quotas.require_room(Place((b"acme", b"new")), 10, USER))
    await counters.is_asked.wait()
    looking.cancel()
    counters.may_take.set()
    await asyncio.gather(looking, return_exceptions=True)
    assert looking.cancelled()
    assert await held(ledger, place) == A()


async def test_without_a_shared_table_to_hold_more_waits_for_nothing() -> None:
    ledger = QuotaLedger(Listed(), recount_seconds=1e9)
    place = ledger.counted(ACME)
    hold = ledger.hold([place], {place: Quota(30)}, USER)
    await hold.ready()
    with pytest.raises(StopIteration):
        hold.set_to(A(10)).send(None)
    assert await held(ledger, place) == A(10)
