"""Replicas accept a verification code once, together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from s3sftp.auth.totp import new_secret
from s3sftp.errors import UsersUnavailable
from s3sftp.shared_state import SharedStateOptions
from s3sftp.shared_state.shared_codes import SharedCodes
from s3sftp.shared_state.table import SharedTable as Table
from tests.support.aws_users import babbles, errs, hangs, loses_the_answer, running_relay
from tests.support.shared_table import SharedTable

SECRET = new_secret()


@asynccontextmanager
async def codes_of(
    shared_table: SharedTable, url: str = "", accepts: bool = False, **options: Any
) -> AsyncIterator[SharedCodes]:
    table = Table(SharedStateOptions(**shared_table.options(url, **options)), lambda _result: None)
    await table.start()
    try:
        yield SharedCodes(table, accepts_unproven=accepts)
    finally:
        await table.close()


async def test_a_code_that_one_replica_has_seen_is_used_for_all_and_so_are_earlier_ones(
    shared_table: SharedTable,
) -> None:
    async with codes_of(shared_table) as one, codes_of(shared_table) as other:
        assert await one.use(SECRET, 100)
        assert not await other.use(SECRET, 100)
        assert not await one.use(SECRET, 100)
        assert not await other.use(SECRET, 99)
        assert await other.use(SECRET, 101)
        assert await one.use(new_secret(), 100)


async def test_of_many_uses_at_the_same_moment_one_succeeds(shared_table: SharedTable) -> None:
    async with running_relay(shared_table.moto) as relay:
        async with codes_of(shared_table, relay.url) as one, codes_of(shared_table, relay.url) as other:
            uses = await asyncio.gather(*(codes.use(SECRET, 100) for codes in (one, other) * 8))
            assert sum(uses) == 1


async def test_a_use_whose_answer_was_lost_succeeds_when_it_is_repeated(shared_table: SharedTable) -> None:
    async with running_relay(shared_table.moto) as relay:
        async with codes_of(shared_table, relay.url, retries=2) as codes, codes_of(shared_table) as other:
            relay.fault = loses_the_answer(relay)
            assert await codes.use(SECRET, 100)
            assert not await other.use(SECRET, 100)


@pytest.mark.parametrize(
    "fault", [errs("InternalServerError", 500), errs("ThrottlingException"), babbles, hangs]
)
async def test_while_nobody_knows_a_code_is_refused_or_accepted_as_configured_and_the_log_says_so(
    shared_table: SharedTable, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_relay(shared_table.moto) as relay:
        relay.fault = fault
        async with codes_of(shared_table, relay.url, timeout="0.5 s") as codes:
            for _ in range(2):
                with pytest.raises(UsersUnavailable):
                    await codes.use(SECRET, 100)
        async with codes_of(shared_table, relay.url, accepts=True, timeout="0.5 s") as codes:
            assert await codes.use(SECRET, 100)
    assert caplog.text.count("shared_state.code_unproven") == 2  # once for each, not for each code
    assert SECRET not in caplog.text


async def test_the_table_holds_no_secret_and_forgets_codes(shared_table: SharedTable) -> None:
    async with codes_of(shared_table) as codes:
        step = int(time.time()) // 30
        assert await codes.use(SECRET, step)
    (item,) = shared_table.items("codes")
    assert SECRET not in str(item)
    assert item["expires"] == (step + 1) * 30 + 86400
