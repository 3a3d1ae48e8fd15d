"""Work for the outbox that fails holds up nothing else, and takes a bounded amount of memory."""

from __future__ import annotations

import asyncio
import time

import pytest

from s3sftp.backends import Place
from s3sftp.errors import PermissionDenied, StorageFailure
from s3sftp.events import dispatcher as module
from s3sftp.events.background import Background
from s3sftp.events.outbox.settling import Found
from s3sftp.runtime.backoff import Backoff
from s3sftp.runtime.concurrency import for_each
from tests.events.outbox.sinks import CountedObjects, ScriptedSink, dispatching
from tests.events.outbox.test_dispatcher import commit, until


async def test_work_that_fails_holds_up_none_that_succeeds() -> None:
    """Far more of it than is done at once, and none is repeated before an hour has passed."""
    background, attempts, done = Background(Backoff(3600, 3600)), list[int](), asyncio.Event()

    async def fail(number: int) -> None:
        attempts.append(number)
        raise StorageFailure("denied")

    async def succeed() -> None:
        done.set()

    background.start()
    for number in range(50):
        background.add(lambda number=number: fail(number))  # type: ignore[misc]
    background.add(succeed)
    async with asyncio.timeout(60):
        await done.wait()
    await until(lambda: len(attempts) == 50)
    assert len(background) == 50
    assert not await background.finish(60), "each is tried once more at the end, and given up"
    assert sorted(attempts) == sorted([*range(50), *range(50)])
    await background.stop()


async def test_work_that_failed_is_done_again() -> None:
    background, attempts, done = Background(Backoff(0.01, 0.02)), list[int](), asyncio.Event()

    async def fail_twice() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise StorageFailure("down")
        done.set()

    background.start()
    background.add(fail_twice)
    async with asyncio.timeout(60):
        await done.wait()
    assert await background.finish(60)
    await background.stop()


async def test_entries_that_cannot_be_removed_take_bounded_memory_and_hold_up_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_ERASURES", 10)
    works, fails, objects = ScriptedSink("works"), ScriptedSink("fails"), CountedObjects()
    delete = objects.delete

    async def denied(key: str) -> None:
        raise PermissionDenied

    async def look(place: Place) -> Found:
        return Found("m", '"v"', 1, time.time())

    objects.delete = denied  # type: ignore[method-assign]
    async with dispatching(works, fails, objects=objects, look=look) as (announcer, dispatcher):
        await dispatcher.takeover.stop()
        for number in range(50):
            await commit(announcer, f"/{number}")
        await works.until(lambda: len(works.accepted) == 50)
        await fails.until(lambda: len(fails.accepted) == 50)
        fails.answer = lambda _: OSError("down")
        await for_each([f"/late{number}" for number in range(20)], lambda path: commit(announcer, path), 4)
        await until(lambda: sum("/fails/" in key for key in objects.entries()) >= 10)
        assert len(dispatcher._erasing) <= 10
        assert len(dispatcher.own.keys) <= 10 + 2 * 20
        objects.delete = delete  # type: ignore[method-assign]
        fails.answer = lambda _: None
        dispatcher.queues["fails"].hurry()
        await until(lambda: dispatcher.takeover.has_own_changes and not len(dispatcher._erasing))
        for key, (data, etag, written) in list(objects.objects.items()):
            objects.objects[key] = (data, etag, written - 7200)
        async with asyncio.timeout(60):
            while objects.entries():
                await dispatcher.takeover.sweep()
                await asyncio.sleep(0.01)
    for sink in (works, fails):
        assert len(set(sink.subjects)) == 70, "some come twice, and none is lost"
