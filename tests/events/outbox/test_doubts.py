"""A change of which the store has not said what became of it: what is stored decides, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.backends import Place
from s3sftp.errors import StorageFailure
from s3sftp.events.announcements import AnnouncedChange, Announcer
from s3sftp.events.outbox.entries import LEASES, Check
from s3sftp.events.outbox.settling import Found
from tests.events.outbox.sinks import SESSION, CountedObjects, ScriptedSink, dispatching
from tests.events.outbox.test_dispatcher import until
from tests.support.logs import capture_events

FILE = Place((b"alice", b"f"))
Look = Callable[[Place], Awaitable[Found | None]]


def stored(found: Found | Exception | None) -> Look:
    async def look(place: Place) -> Found | None:
        if isinstance(found, Exception):
            raise found
        return found

    return look


NOTHING = stored(None)
OURS = stored(Found("m", '"v"', 3, time.time()))
OLDER = stored(Found("other", '"w"', 3, 1.0))


async def begun(announcer: Announcer) -> AnnouncedChange:
    change = announcer.upload("/f", FILE, SESSION)
    await change.begin(Check("commit", FILE, mark="m"), size=3)
    return change


@pytest.mark.parametrize("look", [NOTHING, OLDER, stored(StorageFailure("down"))])
async def test_a_server_that_stops_leaves_a_doubt_to_the_next_one(look: Look) -> None:
    """CLOSE is cut off, and the store completes the upload after the server has ended."""
    objects, told = CountedObjects(), []
    with capture_events() as logged:
        async with dispatching(ScriptedSink(), objects=objects, look=look) as (announcer, dispatcher):
            change = await begun(announcer)
            change.in_doubt(lambda: told.append("upload.aborted"))
            await dispatcher.stop()
    assert told == []
    assert len(objects.entries()) == 1
    assert [objects.objects[key][0] for key in objects.entries(LEASES)] == [b""], "others adopt it at once"
    assert "events.left_unkept" not in [event["event"] for event in logged]
    next_one = ScriptedSink()
    for key in objects.entries():
        data, etag, written = objects.objects[key]
        objects.objects[key] = (data, etag, written - 7200)
    async with dispatching(next_one, objects=objects, look=OURS):
        await next_one.until(lambda: len(next_one.accepted) == 1)
        await until(lambda: not objects.entries())
    (event,) = next_one.accepted
    assert (str(event.kind), event.data["certainty"]) == ("upload.committed", "confirmed")


async def test_a_server_that_stops_announces_what_is_stored_by_then() -> None:
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects, look=OURS) as (announcer, dispatcher):
        (await begun(announcer)).in_doubt(lambda: pytest.fail("it is stored"))
        await dispatcher.stop()
    waiting = [key for key in objects.entries() if "/hook/" in key]
    assert len(sink.accepted) + len(waiting) == 1
    assert len(objects.entries()) == len(waiting), "the entry of the change is not needed any more"


async def test_a_commit_is_not_told_as_failed_because_its_file_has_been_taken_away() -> None:
    """The reply to the commit is lost, and a consumer takes the file before the server looks."""
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects, look=NOTHING) as (announcer, dispatcher):
        dispatcher.doubt_seconds = 0.0
        (await begun(announcer)).in_doubt(lambda: pytest.fail("it may have been stored"))
        await sink.until(lambda: len(sink.accepted) == 1)
        await until(lambda: not objects.entries())
    (event,) = sink.accepted
    assert (str(event.kind), event.data["certainty"]) == ("upload.committed", "unknown")


async def test_a_commit_that_has_certainly_not_happened_is_told_as_what_it_was() -> None:
    sink, objects, told = ScriptedSink(), CountedObjects(), []
    async with dispatching(sink, objects=objects, look=OLDER) as (announcer, dispatcher):
        dispatcher.doubt_seconds = 0.0
        (await begun(announcer)).in_doubt(lambda: told.append("upload.aborted"))
        await until(lambda: told and not objects.entries())
    assert told == ["upload.aborted"]
    assert sink.accepted == []
