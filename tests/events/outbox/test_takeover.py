"""What other processes have left is delivered, also if it comes late, and one change holds up no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from s3sftp.backends import Place
from s3sftp.backends.small_objects import ListedPage
from s3sftp.errors import StorageFailure
from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.outbox.entries import (
    ENTRIES,
    LEASES,
    AddressedEvent,
    ChangeEntry,
    Check,
    WaitingEntry,
    change_folder,
    entry_name,
    sink_folder,
)
from s3sftp.events.outbox.looking import look
from s3sftp.events.outbox.settling import Found, StorageGone
from s3sftp.events.outbox.takeover import _SWEEPS_PER_SEARCH
from tests.events.outbox.sinks import CountedObjects, ScriptedSink, a_backend, dispatching
from tests.events.outbox.test_dispatcher import until
from tests.support.logs import Event, capture_events

A, B = "a" * 32, "b" * 32
OLD = 7200.0


def an_event(number: int) -> CloudEvent:
    kind = EventKind.UPLOAD_COMMITTED
    return CloudEvent(f"{number:032x}", kind, "urn:x", f"/{number}", 1e9 + number, {"user": "alice"})


@pytest.fixture
def logged() -> Iterator[list[Event]]:
    with capture_events() as events:
        yield events


def named(logged: list[Event], *names: str) -> list[Event]:
    return [event for event in logged if event["event"] in names]


async def leave(objects: CountedObjects, instance: str, *numbers: int, sink: str = "hook") -> None:
    """Put events into the outbox as a process that has ended in peace leaves them."""
    for number in numbers:
        event = an_event(number)
        key = sink_folder(instance, sink) + entry_name(event)
        await objects.put(key, WaitingEntry(event).to_json())
    await objects.put(LEASES + instance, b"")


async def leave_change(objects: CountedObjects, instance: str, number: int, place: Place) -> None:
    """Put the entry of a commit into the outbox whose process has been killed long ago."""
    event = an_event(number)
    entry = ChangeEntry([AddressedEvent(event, ["hook"])], Check("commit", place, mark=str(number)))
    key = change_folder(instance) + entry_name(event)
    await objects.put(key, entry.to_json())
    data, etag, written = objects.objects[key]
    objects.objects[key] = (data, etag, written - OLD)
    await objects.put(LEASES + instance, b"")


def looking(found: dict[Place, Found | Exception]) -> Callable[[Place], Awaitable[Found | None]]:
    async def ask(place: Place) -> Found | None:
        answer = found.get(place)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def test_what_comes_late_into_an_adopted_instance_is_delivered() -> None:
    """`replay` puts its first event and the lease, and then all others."""
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects) as (_, dispatcher):
        takeover = dispatcher.takeover
        await takeover.stop()
        await leave(objects, A, 0)
        await takeover.sweep()
        await sink.until(lambda: len(sink.accepted) == 1)
        await until(lambda: not objects.entries())
        expected = ["/0"]
        for number in range(1, 20):
            expected.append(f"/{number}")
            key = sink_folder(A, "hook") + entry_name(an_event(number))
            await objects.put(key, WaitingEntry(an_event(number)).to_json())
            await takeover.sweep()
            await until(lambda: len(sink.accepted) == len(expected))
            await until(lambda: not objects.entries())
        assert sink.subjects == expected
        await takeover.sweep()
        assert not objects.objects, "the lease is given up with the last entry"


async def test_a_change_that_comes_late_is_settled() -> None:
    """A process that hung wrote its entry after it had been adopted."""
    sink, objects, place = ScriptedSink(), CountedObjects(), Place((b"x",))
    found = looking({place: Found("1", '"x"', 3, time.time())})
    async with dispatching(sink, objects=objects, look=found) as (_, dispatcher):
        await dispatcher.takeover.stop()
        await leave(objects, A, 0)
        await dispatcher.takeover.sweep()
        await sink.until(lambda: len(sink.accepted) == 1)
        await until(lambda: not objects.entries())
        await leave_change(objects, A, 1, place)
        await dispatcher.takeover.sweep()
        await dispatcher.takeover.sweep()
        await sink.until(lambda: sink.subjects == ["/0", "/1"])


async def test_events_for_a_sink_that_is_not_configured_stay_and_are_named_once(logged: list[Event]) -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects) as (_, dispatcher):
        await dispatcher.takeover.stop()
        await leave(objects, A, 0, sink="gone")
        for _ in range(3):
            await dispatcher.takeover.sweep()
        assert len(objects.entries()) == 1
    assert [line["sink"] for line in named(logged, "events.sink_unknown")] == ["gone"]


@pytest.mark.parametrize("failure", [StorageFailure("the other storage is down"), RuntimeError("a mistake")])
async def test_a_change_that_cannot_be_looked_at_holds_up_nothing_else(
    failure: Exception, logged: list[Event]
) -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    down, there = Place((b"x",), "other"), Place((b"y",))
    stored: dict[Place, Found | Exception] = {down: failure, there: Found("2", '"y"', 3, time.time())}
    async with dispatching(sink, objects=objects, look=looking(stored)) as (_, dispatcher):
        await dispatcher.takeover.stop()
        await leave_change(objects, A, 1, down)
        await leave_change(objects, A, 2, there)
        await leave(objects, A, 3)
        await leave(objects, B, 4)
        for _ in range(3):
            await dispatcher.takeover.sweep()
        await sink.until(lambda: sorted(sink.subjects) == ["/2", "/3", "/4"])
        told = named(logged, "events.takeover_failed", "events.takeover_crashed")
        assert [line["key"] for line in told] == [change_folder(A) + entry_name(an_event(1))]
        stored[down] = Found("1", '"x"', 3, time.time())
        await dispatcher.takeover.sweep()
        await sink.until(lambda: "/1" in sink.subjects)


async def test_a_change_in_a_storage_that_was_taken_out_of_the_configuration_is_unknown() -> None:
    sink, objects, backend = ScriptedSink(), CountedObjects(), a_backend()
    gone = Place((b"x",), "gone")
    with pytest.raises(StorageGone):
        await look(backend, gone)
    async with dispatching(sink, objects=objects, look=lambda place: look(backend, place)) as (_, dispatcher):
        await dispatcher.takeover.stop()
        await leave_change(objects, A, 1, gone)
        await dispatcher.takeover.sweep()
        await sink.until(lambda: len(sink.accepted) == 1)
    assert sink.accepted[0].data["certainty"] == "unknown"


async def test_a_lease_that_cannot_be_written_holds_up_no_other(logged: list[Event]) -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    put = objects.put

    async def denied(key: str, data: bytes, *, etag: str | None = None, is_new: bool = False) -> str:
        if key == LEASES + A:
            raise StorageFailure("denied")
        return await put(key, data, etag=etag, is_new=is_new)

    async with dispatching(sink, objects=objects) as (_, dispatcher):
        await dispatcher.takeover.stop()
        await leave(objects, A, 0)
        await leave(objects, B, 1)
        objects.put = denied  # type: ignore[method-assign]
        for _ in range(3):
            await dispatcher.takeover.sweep()
        await sink.until(lambda: sink.subjects == ["/1"])
        assert len(named(logged, "events.takeover_failed")) == 1
        objects.put = put  # type: ignore[method-assign]
        await dispatcher.takeover.sweep()
        await sink.until(lambda: sink.subjects == ["/1", "/0"])


class EmptyFolders(CountedObjects):
    """A store that goes on listing a folder when the last object in it is gone, as SeaweedFS does a while."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[str] = []

    async def page(
        self, prefix: str, *, after: str | None = None, most: int = 1000, delimiter: str = ""
    ) -> ListedPage:
        found = await super().page(prefix, after=after, most=most, delimiter=delimiter)
        kept = [each for each in self.folders if delimiter and each.startswith(prefix)]
        return replace(found, folders=sorted({*found.folders, *kept}))


async def test_a_process_without_events_is_not_taken_for_dead_because_its_empty_folder_is_listed(
    logged: list[Event],
) -> None:
    sink, objects = ScriptedSink(), EmptyFolders()
    async with (
        dispatching(sink, objects=objects) as (_, quiet),
        dispatching(ScriptedSink(), objects=objects) as (_, other),
    ):
        await quiet.takeover.stop()
        await other.takeover.stop()
        await quiet.told_for_good(an_event(0), ["hook"])
        await until(lambda: not objects.entries())
        await quiet.own.lease.end(leaves_entries=False)
        objects.folders.append(f"{ENTRIES}{quiet.own.instance}/")
        for _ in range(_SWEEPS_PER_SEARCH + 1):
            await other.takeover.sweep()
        assert not objects.objects
        await quiet.told_for_good(an_event(1), ["hook"])
        await sink.until(lambda: sink.subjects == ["/0", "/1"])
    assert not named(logged, "events.adopted", "events.lease_lost")


async def test_a_process_that_was_taken_for_dead_while_it_writes_twice_begins_one_new_instance(
    logged: list[Event],
) -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects) as (_, dispatcher):
        await dispatcher.takeover.stop()
        sink.open.clear()
        await dispatcher.told_for_good(an_event(0), ["hook"])
        lost, released = dispatcher.own.lease, asyncio.Event()
        await objects.put(LEASES + lost.instance, b"another's")
        lost._renewed_at = -1e9  # as if it had hung
        objects.hold = lambda what, key: released if key == LEASES + lost.instance else None
        both = [asyncio.create_task(dispatcher.told_for_good(an_event(n), ["hook"])) for n in (1, 2)]
        await asyncio.sleep(0)
        released.set()
        await asyncio.gather(*both)
        instances = {key.split("/")[1] for key in objects.entries()}
        assert instances == {lost.instance, dispatcher.own.instance}
        sink.open.set()
        await sink.until(lambda: {"/0", "/1", "/2"} <= set(sink.subjects))
    assert [line["instance"] for line in named(logged, "events.lease_lost")] == [lost.instance]


async def test_the_clock_of_another_storage_does_not_exclude_a_commit() -> None:
    """Its clock is behind: the file that took the place of ours seems to be older than our entry."""
    sink, objects = ScriptedSink(), CountedObjects()
    here, there = Place((b"x",)), Place((b"x",), "other")
    replaced = Found("other", '"x"', 3, time.time() - OLD - 60)
    async with dispatching(sink, objects=objects, look=looking({here: replaced, there: replaced})) as (
        _,
        each,
    ):
        await each.takeover.stop()
        await leave_change(objects, A, 1, here)
        await leave_change(objects, A, 2, there)
        await each.takeover.sweep()
        await until(lambda: not objects.entries())
    assert [(event.subject, event.data["certainty"]) for event in sink.accepted] == [("/2", "unknown")]
