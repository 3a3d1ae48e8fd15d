"""Two defenders share bans through a table: what each knows when they miss each other's changes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from s3sftp.auth import Offence
from s3sftp.errors import ConfigurationError
from s3sftp.shared_state import ban_sharing as ban_sharing_module
from s3sftp.shared_state.table import Item
from tests.shared_state.sharing_replicas import Replica, replicas
from tests.support.aws_users import babbles, errs, loses_the_answer, running_relay
from tests.support.shared_table import SharedTable

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
OUTAGE = errs("InternalServerError", 500)


async def test_bans_and_lifts_reach_the_other_replica(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, _):
        one.offends(A)
        one.defender.ban(B, 3600)
        await one.exchange()
        await other.exchange()
        assert other.bans() == [A, B]
        ((first, remaining),) = [each for each in other.defender.bans() if each[0].source == A]
        assert (first.reason, first.score, first.offences, first.number) == ("password", 2, 2, 1)
        assert (first.seconds, first.replica) == (600, "one")
        assert 590 < remaining <= 600
        assert other.defender.lift(A)
        await other.exchange()
        await one.exchange()
        assert one.bans() == other.bans() == [B]


async def test_who_spreads_guesses_over_replicas_is_banned_on_all(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, _):
        for replica in (one, other):
            replica.defender.offended(A, Offence.PASSWORD)
            replica.defender.offended(replica.sharing._replica, Offence.PASSWORD)
            assert replica.bans() == []
            await replica.exchange()
        assert other.bans() == [A]
        await other.exchange()
        await one.exchange()
        assert one.bans() == [A]
        one.defender.lift(A)  # and everything is forgotten
        for replica in (one, other):
            await replica.exchange()
            replica.defender.offended(A, Offence.PASSWORD)
        await one.exchange()
        assert one.bans() == other.bans() == []


async def test_a_source_that_all_replicas_find_guilty_of_too_little_is_not_banned(
    shared_table: SharedTable,
) -> None:
    async with replicas(shared_table) as (one, other, _):
        one.defender.offended(A, Offence.PASSWORD)
        for _ in range(3):
            for replica in (one, other):
                await replica.exchange()
        assert one.bans() == other.bans() == []


async def test_a_further_ban_on_another_replica_lasts_longer(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, _):
        one.offends(A)
        await one.exchange()
        await other.exchange()
        assert other.defender._bans._banned.pop(A)  # as if its time were over
        other.offends(A)
        ((ban, _remaining),) = other.defender.bans()
        assert (ban.number, ban.seconds) == (2, 1200)


async def test_a_restarted_replica_knows_the_bans_and_the_lifts(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, _):
        one.offends(A)
        one.offends(B)
        await one.exchange()
        await other.exchange()
        other.defender.lift(B)
        await other.exchange()
        async with replicas(shared_table) as (restarted, also, _):
            assert restarted.bans() == also.bans() == [A]


async def test_a_lift_that_a_replica_has_missed_prevails_over_its_ban(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, relay):
        one.defender.ban(A, 3600)
        await one.exchange()
        await other.exchange()
        relay.fault = OUTAGE
        await one.exchange()
        one.defender.ban(A, 7200)  # decided before it can know of the lift
        other.defender.lift(A)
        await other.exchange()
        relay.fault = None
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == []
        one.defender.ban(A, 60)  # decided afterwards
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == [A]


@pytest.mark.parametrize("starts_anew", [False, True])
async def test_a_ban_that_was_clearly_decided_after_a_lift_holds_although_its_replica_missed_the_lift(
    shared_table: SharedTable, starts_anew: bool
) -> None:
    async with replicas(shared_table, ahead=700) as (one, other, relay):
        other.defender.ban(A, 3600)
        await other.exchange()
        if not starts_anew:
            await one.exchange()
        relay.fault = OUTAGE
        await one.exchange()
        other.defender.lift(A)
        await other.exchange()
        one.defender.ban(A, 7200)  # 700 s later, by its clock
        relay.fault = None
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == [A]


async def test_a_lift_that_was_pending_ends_no_ban_that_was_clearly_decided_after_it(
    shared_table: SharedTable,
) -> None:
    async with replicas(shared_table, ahead=-700) as (one, other, relay):
        relay.fault = OUTAGE
        await one.exchange()
        one.defender.lift(A)  # 700 s ago, by its clock
        other.defender.ban(A, 7200)
        await other.exchange()
        relay.fault = None
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == [A]


async def test_changes_that_wait_are_bounded_and_lifts_are_the_last_to_be_given_up(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ban_sharing_module, "_MAX_PENDING", 3)
    async with replicas(shared_table) as (one, _other, relay):
        relay.fault = OUTAGE
        await one.exchange()
        one.defender.lift(A)
        for number in range(10):
            one.defender.ban(f"198.51.100.{number}", 3600)
        assert list(one.sharing._pending) == [f"offences#{A}", f"operator#{A}", "operator#198.51.100.9"]


async def test_a_lift_during_an_outage_ends_the_ban_that_its_replica_does_not_know(
    shared_table: SharedTable,
) -> None:
    async with replicas(shared_table) as (one, other, relay):
        relay.fault = OUTAGE
        await one.exchange()
        other.offends(A)
        await other.exchange()
        assert not one.defender.lift(A)
        relay.fault = None
        await one.exchange()
        await other.exchange()
        assert other.bans() == []


async def test_of_two_bans_that_were_decided_at_once_the_longer_one_holds(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, _):
        for source, seconds in ((A, (60, 3600)), (B, (3600, 60))):
            one.defender.ban(source, seconds[0])
            other.defender.ban(source, seconds[1])
        await one.exchange()
        await other.exchange()
        await one.exchange()
        for replica in (one, other):
            assert [round(left / 100) for _, left in replica.defender.bans()] == [36, 36]


async def test_an_outage_loses_nothing_and_is_logged_once(
    shared_table: SharedTable, caplog: pytest.LogCaptureFixture
) -> None:
    async with replicas(shared_table) as (one, other, relay):
        for fault in (OUTAGE, babbles, errs("ProvisionedThroughputExceededException")):
            relay.fault = fault
            await one.exchange()
            assert one.sharing.is_down
        one.offends(A)
        other.offends(B)
        await other.exchange()
        await one.exchange()
        assert (one.bans(), len(one.sharing._pending)) == ([A], 1)
        relay.fault = None
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == [A, B]
        assert (one.sharing.is_down, len(one.sharing._pending)) == (False, 0)
        assert caplog.text.count("shared_state.down") == 1


async def test_a_write_whose_answer_was_lost_is_recognized_as_the_replicas_own(
    shared_table: SharedTable,
) -> None:
    async with replicas(shared_table) as (one, other, relay):
        one.offends(A)
        relay.fault = loses_the_answer(relay)
        await one.exchange()
        assert one.sharing.is_down
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == [A]
        assert len(one.sharing._pending) == 0


@pytest.mark.parametrize("ahead", [-3000.0, 3000.0], ids=["behind", "ahead"])
async def test_replicas_whose_clocks_differ_learn_of_bans_and_lifts_all_the_same(
    shared_table: SharedTable, ahead: float
) -> None:
    """Only the end of a ban depends on the clocks."""
    async with replicas(shared_table, ahead) as (one, other, _):

        async def exchange() -> None:
            for replica in (one, other, one):
                replica.sharing._reads = 0  # the next read is a full one, as one of sixty is
                await replica.exchange()

        one.defender.ban(A, 7200)
        other.defender.ban(B, 7200)
        await exchange()
        assert one.bans() == other.bans() == [A, B]
        one.defender.lift(B)
        other.defender.lift(A)
        await exchange()
        assert one.bans() == other.bans() == []


async def test_recent_changes_are_asked_for_and_all_bans_only_now_and_then(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, _other, relay):
        relay.asked.clear()
        for _ in range(ban_sharing_module._FULL_READ_EVERY):
            await one.exchange()
        queries = [asked for asked in relay.asked if "KeyConditionExpression" in asked]
        assert len(queries) == len(relay.asked) == ban_sharing_module._FULL_READ_EVERY
        assert sum("FilterExpression" not in asked for asked in queries) == 1
        assert all(asked["ConsistentRead"] for asked in queries)


async def test_items_that_no_server_has_written_are_ignored(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, other, _):
        shared_table.put(pk="bans", sk="offences#" + A, until="soon", version="1", changed=1)
        shared_table.put(pk="bans", sk="nonsense", binary=b"\0")
        other.offends(B)
        await other.exchange()
        await one.exchange()
        assert one.bans() == [B]
        one.offends(A)
        await one.exchange()
        await other.exchange()
        assert other.bans() == [A, B]


async def test_items_expire_after_what_they_are_needed_for(shared_table: SharedTable) -> None:
    async with replicas(shared_table) as (one, _other, _):
        one.offends(A)
        await one.exchange()
        one.defender.ban(B, 60)
        one.defender.lift(A)
        await one.exchange()
        kept = {item["sk"]: float(item["expires"] - item["until"]) for item in shared_table.items("bans")}
        assert kept == pytest.approx(
            dict.fromkeys((f"offences#{A}", f"operator#{A}", f"operator#{B}"), 86400), abs=1
        )


async def test_a_denied_write_is_named_at_the_start(shared_table: SharedTable) -> None:
    async with running_relay(shared_table.moto) as relay:
        replica = Replica(shared_table, "one", relay.url)

        async def denies(request: Any) -> Any:
            is_write = request.headers["X-Amz-Target"].endswith("UpdateItem")
            return await errs("AccessDeniedException")(request) if is_write else None

        relay.fault = denies
        with pytest.raises(ConfigurationError, match="dynamodb:UpdateItem"):
            await replica.sharing.start()
        await replica.aclose()


async def test_a_lift_while_another_ban_is_read_ends_that_one_too(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica has missed a longer ban, and finds it when it writes its own."""
    async with replicas(shared_table) as (one, other, _):
        one.defender.ban(A, 60)
        other.defender.ban(A, 3600)
        await other.exchange()
        get, asked, go_on = one.table.get, asyncio.Event(), asyncio.Event()

        async def held(pk: str, sk: str) -> Any:
            item = await get(pk, sk)
            asked.set()
            await go_on.wait()
            return item

        monkeypatch.setattr(one.table, "get", held)
        exchange = asyncio.create_task(one.exchange())
        await asyncio.wait_for(asked.wait(), 30)
        assert one.defender.lift(A)
        go_on.set()
        await exchange
        assert one.bans() == []
        await one.exchange()
        await other.exchange()
        assert one.bans() == other.bans() == []


async def test_first_bans_are_written_at_a_limited_rate_and_what_matters_more_at_once(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has many addresses makes the operator pay for so much and no more."""
    monkeypatch.setattr(ban_sharing_module, "_MAX_FIRST_BANS", 2)
    async with replicas(shared_table) as (one, _other, _):
        one.sharing._interval = 1e9  # only the test reads
        one.offends(A)
        await one.exchange()
        assert one.defender._bans._banned.pop(A)  # as if its time were over
        many = [f"198.51.100.{number}" for number in range(5)]

        def written() -> list[str]:
            items = [item for item in shared_table.items("bans") if item["lifted"] is not True]
            return sorted(item["sk"] for item in items if item["sk"].partition("#")[2] in many)

        for source in many:
            one.offends(source)
        one.offends(A)
        one.defender.ban(B, 3600)
        one.defender.lift(C)
        for _ in range(3):
            await one.exchange(may_skip_reading=True)
        assert written() == [f"offences#{source}" for source in many[:2]]
        items = {item["sk"]: item for item in shared_table.items("bans")}
        assert items[f"offences#{A}"]["number"] == 2
        assert {f"operator#{B}", f"offences#{C}", f"operator#{C}"} < set(items)
        assert (len(one.sharing._pending), one.sharing.pending) == (3, 0)
        for count in (2, 4, 5):  # each read begins another interval
            await one.exchange()
            assert len(written()) == count
        assert len(one.sharing._pending) == 0


async def test_lifts_are_written_before_bans(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ban_sharing_module, "_MAX_WRITES", 2)
    async with replicas(shared_table) as (one, _other, _):
        for source in (B, C):
            one.defender.ban(source, 3600)
        one.defender.lift(A)
        await one.exchange()
        assert {item["sk"] for item in shared_table.items("bans")} == {f"offences#{A}", f"operator#{A}"}


def answers_at_once(item: Item) -> Callable[[str, int | None], Awaitable[list[Item]]]:
    """A query of a table with a thousand old bans like this one."""
    many = [{**item, "sk": f"operator#198.51.{n // 256}.{n % 256}"} for n in range(1000)]

    async def query(_pk: str, since: int | None) -> list[Item]:
        return many if since is None else []

    return query


async def test_other_tasks_run_while_many_bans_are_taken_over(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(shared_table) as (one, other, _):
        other.defender.ban(A, 3600)
        await other.exchange()
        (item,) = await one.table.query("bans")
        monkeypatch.setattr(one.table, "query", answers_at_once(item))
        one.sharing._reads = 0  # the next read is a full one
        taken: list[int] = []

        async def ticks() -> None:
            while True:
                taken.append(len(one.bans()))
                await asyncio.sleep(0)

        ticking = asyncio.create_task(ticks())
        await one.sharing._read(one.defender)
        ticking.cancel()
        assert len(one.bans()) == 1000
        assert max(after - before for before, after in itertools.pairwise([0, *taken, 1000])) <= 100


async def test_a_full_read_that_was_cut_short_is_done_again(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(shared_table) as (one, other, _):
        other.defender.ban(A, 3600)
        await other.exchange()
        (item,) = await one.table.query("bans")
        monkeypatch.setattr(one.table, "query", answers_at_once(item))
        one.sharing._reads = 0  # the next read is a full one
        exchange = asyncio.create_task(one.exchange())
        while not one.bans():
            await asyncio.sleep(0)
        exchange.cancel()
        await asyncio.gather(exchange, return_exceptions=True)
        assert len(one.bans()) < 1000
        await one.exchange()
        assert len(one.bans()) == 1000
