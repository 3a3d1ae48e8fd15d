"""Sinks that fail, refuse or hang: nobody else notices, and nothing is lost."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.backends import Place
from s3sftp.errors import StorageFailure
from s3sftp.events.announcements import Announcer
from s3sftp.events.cloud_event import EventKind
from s3sftp.events.outbox.entries import Check
from s3sftp.events.outbox.survey import replay_refused, waiting_events
from s3sftp.events.sink import EventRefused
from tests.events.outbox.sinks import SESSION, CountedObjects, ScriptedSink, dispatching


async def commit(announcer: Announcer, path: str) -> None:
    """Announce a commit, from its entry to its acknowledgement."""
    place = Place((b"alice", path[1:].encode()))
    change = announcer.upload(path, place, SESSION)
    await change.begin(Check("commit", place, mark="m"), size=1)
    change.happened(etag="e")
    try:
        await change.acknowledge()
    finally:
        change.leave()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_events_of_one_sink_come_in_the_order_of_the_commits() -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects) as (announcer, _):
        for number in range(50):
            await commit(announcer, f"/{number}")
        await sink.until(lambda: len(sink.accepted) == 50)
        await until(lambda: not objects.entries())
    assert sink.subjects == [f"/{number}" for number in range(50)]
    assert not objects.objects, "the lease is removed with the last entry"


async def test_a_sink_that_hangs_or_fails_holds_up_no_other() -> None:
    hangs, fails, works = ScriptedSink("hangs"), ScriptedSink("fails"), ScriptedSink("works")
    hangs.open.clear()
    fails.answer = lambda _: OSError("down")
    async with dispatching(hangs, fails, works) as (announcer, _):
        for number in range(20):
            await commit(announcer, f"/{number}")
        await works.until(lambda: len(works.accepted) == 20)
        hangs.open.set()
        fails.answer = lambda _: None
        await hangs.until(lambda: len(hangs.accepted) == 20)
        await fails.until(lambda: len(fails.accepted) == 20)
    assert fails.subjects == works.subjects


async def test_refused_events_take_no_room_and_starve_nothing_and_can_be_offered_again() -> None:
    sink, objects = ScriptedSink(max_batch=1), CountedObjects()
    sink.answer = lambda event: EventRefused("no") if "bad" in event.subject else None
    async with dispatching(sink, objects=objects, most_waiting=10) as (announcer, dispatcher):
        for number in range(30):
            await commit(announcer, f"/bad{number}")
        for number in range(5):
            await commit(announcer, f"/good{number}")
        await sink.until(lambda: len(sink.accepted) == 5)
        await until(lambda: len(objects.entries("refused/")) == 30 and not objects.entries())
        offered = len(sink.offered)
        assert not dispatcher.queues["hook"].items
        lines = [line async for line in waiting_events(objects)]
        assert {(line.state, line.sink, line.reason) for line in lines} == {("refused", "hook", "no")}
        assert offered == 35, "a refused event is not offered again by itself"
        sink.answer = lambda _: None
        assert len([line async for line in replay_refused(objects, None)]) == 30
        await dispatcher.takeover.sweep()
        await sink.until(lambda: len(sink.accepted) == 35)
        await until(lambda: not objects.entries() and not objects.entries("refused/"))


async def test_an_event_that_always_fails_does_not_stop_those_behind_it() -> None:
    sink = ScriptedSink(max_batch=1)
    sink.answer = lambda event: OSError("poison") if event.subject == "/0" else None
    async with dispatching(sink) as (announcer, _):
        for number in range(5):
            await commit(announcer, f"/{number}")
        await sink.until(lambda: len(sink.accepted) == 4)
        sink.answer = lambda _: None
        await sink.until(lambda: len(sink.accepted) == 5)


async def test_a_queue_that_is_full_keeps_events_in_the_outbox_and_delivers_all_later_in_order() -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    sink.answer = lambda _: OSError("down")
    async with dispatching(sink, objects=objects, most_waiting=10) as (announcer, dispatcher):
        for number in range(60):
            await commit(announcer, f"/{number}")
            assert len(dispatcher.queues["hook"].items) <= 10
        await until(lambda: len(objects.entries()) == 60)
        sink.answer = lambda _: None
        dispatcher.queues["hook"].hurry()
        await sink.until(lambda: len(sink.accepted) == 60)
        await until(lambda: not objects.entries())
    assert sink.subjects == [f"/{number}" for number in range(60)]


async def test_what_changes_nothing_costs_no_request_unless_it_cannot_be_delivered() -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects) as (announcer, dispatcher):
        await until(lambda: objects.requests)
        await dispatcher.takeover.stop()
        objects.requests.clear()
        announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, "/a")
        await sink.until(lambda: bool(sink.accepted))
        assert objects.requests == []
        sink.answer = lambda _: OSError("down")
        announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, "/b")
        await until(objects.entries)


async def test_a_stop_keeps_what_is_undelivered_and_a_note_that_is_being_written() -> None:
    """Nothing is in the outbox before the stop, and its first entry is written while it stops."""
    sink, objects = ScriptedSink(), CountedObjects()
    sink.open.clear()
    writing = asyncio.Event()
    objects.hold = lambda what, key: writing if "/hook/" in key else None
    async with dispatching(sink, objects=objects) as (announcer, dispatcher):
        announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, "/download")
        await commit(announcer, "/upload")
        await sink.until(lambda: bool(sink.offered))
        stopping = asyncio.create_task(dispatcher.stop())
        await until(lambda: sum("/hook/" in each for each in objects.requests) == 2)
        assert not stopping.done()
        writing.set()
        await stopping
    lines = [line async for line in waiting_events(objects)]
    assert sorted(line.event.subject for line in lines if line.event) == ["/download", "/upload"]
    assert {line.state for line in lines} == {"waiting"}
    again = ScriptedSink()
    async with dispatching(again, objects=objects):
        await again.until(lambda: len(again.accepted) == 2)
        await until(lambda: not objects.entries())


async def test_a_backlog_is_listed_once_and_not_at_each_sweep() -> None:
    objects, down = CountedObjects(), ScriptedSink()
    down.answer = lambda _: OSError("down")
    async with dispatching(down, objects=objects) as (announcer, _):
        for number in range(30):
            await commit(announcer, f"/{number}")
        await until(lambda: len(objects.entries()) == 30)
    async with dispatching(down, objects=objects) as (_, dispatcher):
        await until(lambda: len(dispatcher.queues["hook"].items) == 30)
        await dispatcher.takeover.stop()
        await dispatcher.takeover.sweep()
        objects.requests.clear()
        for _ in range(5):
            await dispatcher.takeover.sweep()
        assert objects.requests == ["LIST leases/"] * 5
    async with dispatching(ScriptedSink()) as (_, idle):
        fresh = idle.takeover._objects = CountedObjects()
        await idle.takeover.stop()
        await idle.takeover.sweep()  # the first one also looks for entries without a lease
        fresh.requests.clear()
        await idle.takeover.sweep()
        assert fresh.requests == ["LIST leases/"], "an idle fleet costs one listing"


async def test_a_synchronous_sink_answers_the_client_whatever_waits_for_it() -> None:
    """Also after events could not be delivered and wait in the outbox."""
    sink, objects = ScriptedSink(max_batch=1), CountedObjects()
    sink.answer = lambda _: OSError("down")
    async with dispatching(sink, objects=objects, most_waiting=10, synchronous=True) as (announcer, _):
        for number in range(20):
            with pytest.raises(StorageFailure, match="the file is stored"):
                await commit(announcer, f"/{number}")
        await until(lambda: len(objects.entries()) == 20)
        sink.answer = lambda event: None if event.subject == "/now" else OSError("still down for others")
        await commit(announcer, "/now")
        assert sink.subjects == ["/now"]
        sink.answer = lambda _: None
        await sink.until(lambda: len(set(sink.subjects)) == 21)
        await until(lambda: not objects.entries())


async def test_a_change_whose_entry_was_abandoned_is_not_announced() -> None:
    """The client leaves while the entry is being written: nothing was changed."""
    sink, objects = ScriptedSink(), CountedObjects()
    never = asyncio.Event()
    async with dispatching(sink, objects=objects) as (announcer, _):
        await commit(announcer, "/first")
        objects.hold = lambda what, key: never if "_changes" in key else None
        task = asyncio.create_task(commit(announcer, "/left"))
        await until(lambda: sum("PUT entries/" in each for each in objects.requests) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: any("DELETE" in each and "_changes" in each for each in objects.requests[-2:]))
        assert not objects.entries()
    assert sink.subjects == ["/first"]
