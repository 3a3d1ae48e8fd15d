"""When the storage is asked, and what is believed meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from s3sftp.admin import StorageCheck
from s3sftp.admin import storage_check as module

FRESH = 0.4


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", FRESH)
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.4)
    monkeypatch.setattr(module, "_ASKED_SECONDS", 1.0)
    monkeypatch.setattr(module, "_NOBODY_SECONDS", 0.05)


class Storage:
    """One that says what it is told to."""

    def __init__(self) -> None:
        self.says: str | None = ""
        self.looks: list[float] = []
        self.success = -math.inf

    async def probe(self) -> str | None:
        if self.says is not None:
            self.looks.append(monotonic())
        return self.says


@asynccontextmanager
async def checked() -> AsyncIterator[tuple[Storage, StorageCheck]]:
    storage = Storage()
    check = StorageCheck(storage.probe, lambda: storage.success)
    try:
        yield storage, check
    finally:
        check.close()


async def until_it_says(check: StorageCheck, wanted: str) -> None:
    async with asyncio.timeout(20):
        while await check.problem() != wanted:
            await asyncio.sleep(0.02)


async def test_the_first_question_waits_for_a_look_and_those_after_it_do_not() -> None:
    async with checked() as (storage, check):
        storage.says = "down"
        assert await check.problem() == "down"
        storage.says = ""
        assert await check.problem() == "down"
        assert len(storage.looks) == 1


async def test_questions_however_many_make_one_look_an_interval() -> None:
    async with checked() as (storage, check):
        began = monotonic()
        while monotonic() - began < 3 * FRESH:
            await asyncio.gather(*(check.problem() for _ in range(10)))
            await asyncio.sleep(0.01)
        gaps = [after - before for before, after in zip(storage.looks, storage.looks[1:], strict=False)]
        assert storage.looks
        assert all(gap >= FRESH * 0.95 for gap in gaps)


async def test_nothing_is_asked_for_it_while_requests_succeed() -> None:
    storage = Storage()
    storage.says = "not to be asked"
    with contextlib.closing(StorageCheck(storage.probe, monotonic)) as check:  # one has just succeeded
        began = monotonic()
        while monotonic() - began < 3 * FRESH:
            assert await check.problem() == ""
            await asyncio.sleep(0.01)
        assert storage.looks == []


async def test_a_storage_that_goes_and_comes_back_is_noticed() -> None:
    async with checked() as (storage, check):
        assert await check.problem() == ""
        storage.says = "down"
        await until_it_says(check, "down")
        storage.says = ""
        await until_it_says(check, "")


async def test_a_request_that_succeeds_proves_more_than_an_earlier_look() -> None:
    async with checked() as (storage, check):
        storage.says = "down"
        assert await check.problem() == "down"
        storage.success = monotonic()
        assert await check.problem() == ""


async def test_nobody_who_could_look_is_not_the_storages_fault() -> None:
    async with checked() as (storage, check):
        assert await check.problem() == ""
        storage.says = None
        await asyncio.sleep(2 * FRESH)
        checking = asyncio.create_task(check.problem())
        await asyncio.sleep(0.1)
        storage.says = "down"
        assert await checking in ("", "down")
        await until_it_says(check, "down")


async def test_it_ends_looking_when_nobody_asks() -> None:
    async with checked() as (storage, check):
        await check.problem()
        await asyncio.sleep(1.5)
        looks = len(storage.looks)
        await asyncio.sleep(1.0)
        assert len(storage.looks) == looks
        assert await check.problem() == ""
