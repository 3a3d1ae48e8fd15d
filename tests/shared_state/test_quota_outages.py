"""What processes that share quotas do when they are cut off from the table, by construction: a request is
lost, or its answer, or all of them for a time.

The numbers may then be too high until somebody counts. They never leave room that is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from s3sftp.backends import Amount, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs.quota import QuotaLedger
from s3sftp.fs.quota.quotas import Counts, reconciled
from s3sftp.shared_state.quota_records import record_in
from tests.shared_state.test_quota_troubles import ACME, INTERVAL, Process, processes
from tests.shared_state.test_quotas_of_replicas import in_virtual_time
from tests.support.memory_table import no_answer
from tests.support.virtual_time import now

A = Amount


class Line:
    """The way of one process to the table. Answers are lost on command, and so are requests."""

    def __init__(self, process: Process) -> None:
        self.loses: set[str] = set()
        process.table.weather = self._passes

    async def _passes(self, what: str) -> None:
        if what in self.loses:
            raise no_answer()

    def cut(self) -> None:
        self.loses = {"get", "update", "answer"}

    def mend(self) -> None:
        self.loses = set()


async def given_back_without_an_answer(one: Process, line: Line) -> None:
    """Have a process give its share back, and not know that it did."""
    assert await one.holds(A(0, 0))
    await asyncio.sleep(1.5 * INTERVAL)
    one.running.cancel()
    if one.quotas._place(ACME).share is None:
        assert await one.holds(A(0, 0))
        one.quotas._place(ACME).taken_at -= INTERVAL
    line.loses = {"answer"}
    await one.quotas.turn()
    assert one.quotas._place(ACME).share is not None
    (item,) = one.table.items.items.values()
    assert one.shared.process not in record_in(item).shares


@in_virtual_time
async def test_what_is_removed_after_a_share_was_given_back_without_an_answer_is_subtracted_once() -> None:
    async with processes() as (one, other):
        line = Line(one)
        await other.count(A(90, 1))
        await given_back_without_an_answer(one, line)
        line.cut()
        assert await one.holds(A(0, 0))  # in order to remove something
        one.quotas.book(ACME, Counts(removed=A(60, 1)))
        await other.count(A(30, 0))  # which does not wait for a process without a share
        line.mend()
        await asyncio.sleep(2 * INTERVAL)
        await one.quotas.turn()
        stored = await other.stored()
        assert stored is not None
        assert stored.bytes >= 30
        assert (await other.quotas.tally(ACME)).is_doubtful
        await other.count(A(30, 0))
        assert await one.stored() == A(30, 0)


@in_virtual_time
async def test_nothing_is_changed_by_a_share_that_is_being_given_back() -> None:
    """The table has dropped it already, and whoever counts at that moment would not wait for the change."""
    async with processes(1) as (one,):
        await one.count(A(90, 1))
        assert await one.holds(A(0, 0))
        await asyncio.sleep(0)
        one.running.cancel()
        one.quotas._place(ACME).taken_at -= INTERVAL
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def slow(what: str) -> None:
            if what == "answer" and not asked.is_set():
                asked.set()
                await goes_on.wait()

        one.table.weather = slow
        turn = asyncio.create_task(one.quotas.turn())
        await asked.wait()
        removal = asyncio.create_task(one.holds(A(0, 0)))
        await asyncio.sleep(1)
        assert not removal.done()
        goes_on.set()
        await turn
        assert await removal
        (item,) = one.table.items.items.values()
        assert one.shared.process in record_in(item).shares


@in_virtual_time
async def test_a_process_that_is_cut_off_during_a_count_makes_no_room_that_is_not_there() -> None:
    """It has told when the count began, and removes something that the listing does not find any more."""
    async with processes() as (one, other):
        line = Line(one)
        await other.count(A(90, 2))
        assert await one.holds(A(5, 1))
        before = await other.begin_count()
        assert before is not None
        line.cut()
        assert await one.holds(A(0, 0))
        one.quotas.book(ACME, Counts(removed=A(60, 1)))
        after = await other.quotas.count_ends(ACME)  # waits until it is taken for dead
        stored = reconciled(before, after, A(30, 1))
        assert stored is not None
        await other.quotas.set_stored(ACME, stored, after, now())
        tally = await other.quotas.look(ACME)
        assert tally.counts.held == A(5, 1), "what it has claimed it may have stored"
        assert tally.is_doubtful
        line.mend()
        await asyncio.sleep(3 * INTERVAL)
        for each in (one, other):
            seen = await each.stored()
            assert seen is not None
            assert seen.bytes >= 30
            assert (await each.quotas.tally(ACME)).is_doubtful
        one.quotas.book(ACME, Counts(held=A(-5, -1)))
        await other.count(A(30, 1))
        for each in (one, other):
            assert (await each.quotas.look(ACME)).used == A(30, 1)


@pytest.mark.parametrize("is_dead", [False, True], ids=["dead-at-the-end", "dead-at-the-beginning"])
@in_virtual_time
async def test_a_process_that_is_back_just_before_a_result_is_shared_undoes_the_count(is_dead: bool) -> None:
    async with processes() as (one, other):
        line = Line(one)
        await other.count(A(90, 2))
        assert await one.holds(A(0, 0))
        if is_dead:
            line.cut()
            one.quotas.book(ACME, Counts(removed=A(60, 1)))
        before = await other.begin_count()
        assert before is not None
        if not is_dead:
            line.cut()
            one.quotas.book(ACME, Counts(removed=A(60, 1)))
        after = await other.quotas.count_ends(ACME)
        stored = reconciled(before, after, A(30, 1))
        assert stored is not None
        line.mend()
        await asyncio.sleep(1.1 * INTERVAL)
        await one.quotas.turn()
        await other.quotas.set_stored(ACME, stored, after, now())
        seen = await other.stored()
        assert seen is not None
        assert seen.bytes >= 30
        await other.count(A(30, 1))
        assert await one.stored() == await other.stored() == A(30, 1)


@in_virtual_time
async def test_who_tells_late_what_a_count_may_have_found_ends_that_count() -> None:
    async with processes() as (one, other):
        line = Line(one)
        await other.count(A(90, 2))
        await one.quotas.look(ACME)
        line.cut()
        assert await one.holds(A(0, 0))  # without a share
        before = await other.begin_count()
        assert before is not None
        one.quotas.book(ACME, Counts(removed=A(60, 1)))
        after = await other.quotas.count_ends(ACME)
        stored = reconciled(before, after, A(30, 1))
        assert stored == A(30, 1)
        line.mend()
        await asyncio.sleep(1.1 * INTERVAL)
        await one.quotas.turn()  # it knows of no count, and tells
        await other.quotas.set_stored(ACME, stored, after, now())
        assert await other.stored() == A(30, 1)
        assert (await other.quotas.tally(ACME)).is_doubtful


@in_virtual_time
async def test_a_count_beside_which_things_are_changed_leaves_a_doubt_for_the_next_one() -> None:
    """What was told twice is within what the changes explain: the listing alone cannot tell."""
    async with processes() as (one, other):
        backend = Listed(A(50, 1))
        ledgers = [
            QuotaLedger(backend, recount_seconds=3600, counters=each.quotas, clock=now)
            for each in (one, other)
        ]
        places = [ledger.counted(Place((b"acme",))) for ledger in ledgers]
        session = Session("u")
        for ledger, place in zip(ledgers, places, strict=True):
            await ledger.counter.ready(place, session)
        name = places[0].name
        assert await one.holds(A(30, 1), name)
        one.quotas._place(name).is_astray = True
        one.quotas.book(name, Counts(added=A(20, 1)))  # what is not there
        await one.quotas.turn()
        await asyncio.sleep(2 * INTERVAL)

        def store() -> None:
            one.quotas.book(name, Counts(held=A(-30, -1), added=A(30, 1)))
            backend.amount = A(80, 2)

        backend.meanwhile = store
        await ledgers[1].counter.start(places[1], session)
        assert await other.stored(name) == A(100, 3)
        listings = backend.listings
        for seconds in (30, 40):
            await asyncio.sleep(seconds)
            await ledgers[0].counter.ready(places[0], session)  # also the process that has not counted
            await asyncio.sleep(2 * INTERVAL)
        assert backend.listings == listings + 1
        assert await one.stored(name) == await other.stored(name) == A(80, 2)
        await asyncio.sleep(600)
        await ledgers[0].counter.ready(places[0], session)
        await asyncio.sleep(2 * INTERVAL)
        assert backend.listings == listings + 1


class Listed(MemoryBackend):
    """Storage that says what it has, and in which something happens while it is listed."""

    def __init__(self, amount: Amount) -> None:
        super().__init__({})
        self.amount = amount
        self.listings = 0
        self.meanwhile: Callable[[], None] | None = None

    async def total_below(self, place: Place, session: Session) -> Amount:
        self.listings += 1
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self.amount


@in_virtual_time
async def test_a_count_of_somebody_else_that_is_long_ago_is_no_reason_not_to_count() -> None:
    """This process has not looked at the table since, and knows only of a count before that one."""
    async with processes() as (one, other):
        await one.count(A(10, 1))
        await asyncio.sleep(1)
        await other.count(A(20, 1))
        assert await one.begin_count() is None
        await asyncio.sleep(61)
        await other.count(A(30, 1))
        await asyncio.sleep(61)
        assert await one.begin_count() is not None


@in_virtual_time
async def test_a_doubt_of_this_process_needs_a_count_of_its_own() -> None:
    async with processes() as (one, other):
        await one.count(A(10, 1))
        known = await one.quotas.tally(ACME)
        await asyncio.sleep(1)
        await other.count(A(20, 1))
        assert await one.quotas.count_begins(ACME, known) is None
        assert await one.quotas.count_begins(ACME, None) is not None


@in_virtual_time
async def test_a_request_that_never_arrived_keeps_nobody_asking() -> None:
    async with processes(1) as (one,):
        line = Line(one)
        await one.count(A(10, 1))
        line.loses = {"update"}
        await one.begin_count()
        await asyncio.sleep(INTERVAL)
        line.mend()
        await asyncio.sleep(6 * INTERVAL)
        asked = one.table.reads, one.table.writes
        await asyncio.sleep(100 * INTERVAL)
        assert (one.table.reads, one.table.writes) == asked
        for late in one.table.late:
            assert not late()


@in_virtual_time
async def test_in_a_long_outage_nothing_is_refused_for_what_dead_processes_had_claimed() -> None:
    async with processes() as (one, other):
        line = Line(one)
        await other.count(A(40, 1))
        assert await other.holds(A(50, 1))
        await one.quotas.look(ACME)
        line.cut()
        assert not await one.holds(A(20, 1))
        other.running.cancel()
        await asyncio.sleep(16 * INTERVAL)
        await one.count(A(40, 1))
        assert await one.holds(A(20, 1))
