"""Points of sources over all replicas: which count together, and in which order they are written."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from s3sftp.auth import Offence
from s3sftp.shared_state import shared_scores as shared_scores_module
from tests.shared_state.sharing_replicas import Replica, replicas
from tests.support.aws_users import errs, running_relay
from tests.support.shared_table import SharedTable

A, B = "192.0.2.1", "192.0.2.2"
WINDOW = 600.0
OUTAGE = errs("InternalServerError", 500)


async def test_points_of_earlier_windows_make_no_ban_when_the_table_answers_again(
    shared_table: SharedTable,
) -> None:
    """Somebody behind a shared address mistypes every five minutes, which is allowed; for two hours the table
    does not answer."""
    now = 1_000_000 * WINDOW

    def clock() -> float:
        return now

    async with running_relay(shared_table.moto) as relay:
        one = Replica(
            shared_table, "one", relay.url, failures=5, window_seconds=WINDOW, wall_clock=clock, clock=clock
        )
        async with aclosing(one):
            await one.sharing.start()
            await one.exchange()
            relay.fault = OUTAGE
            for _ in range(24):
                one.defender.offended(A, Offence.PASSWORD)
                await one.exchange()
                assert one.sharing.is_down
                now += WINDOW / 2
            relay.fault = None
            one.defender.offended(A, Offence.PASSWORD)
            await one.exchange()
            assert one.bans() == []
            (score,) = shared_table.items("scores")
            assert score["points"] == 1


async def test_no_source_waits_because_others_have_more_points(
    shared_table: SharedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_scores_module, "_MAX_WRITES", 1)
    async with replicas(shared_table, failures=10) as (one, _other, _):
        one.defender.offended(A, Offence.PASSWORD)
        for _ in range(2):
            one.defender.offended(B, Offence.PASSWORD)
        for written in ([A], [A, B]):
            await one.exchange()
            assert sorted(item["sk"].partition("#")[0] for item in shared_table.items("scores")) == written
