"""Clients that leave while a synchronous sink is to be asked."""

from __future__ import annotations

import asyncio

from s3sftp.backends import Place
from s3sftp.events.outbox.entries import Check
from tests.events.outbox.sinks import SESSION, CountedObjects, ScriptedSink, dispatching
from tests.events.outbox.test_dispatcher import until


async def test_who_leaves_before_a_synchronous_sink_is_asked_takes_no_event_along() -> None:
    """In the same turn of the loop, so that the call to the sink has not begun."""
    sink, objects = ScriptedSink(), CountedObjects()
    async with dispatching(sink, objects=objects, synchronous=True) as (announcer, _):
        place = Place((b"alice", b"left"))
        change = announcer.upload("/left", place, SESSION)
        await change.begin(Check("commit", place, mark="m"), size=1)
        change.happened(etag="e")

        async def acknowledge() -> None:
            try:
                await change.acknowledge()
            finally:
                change.leave()

        task = asyncio.create_task(acknowledge())
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await sink.until(lambda: bool(sink.accepted))
        await until(lambda: not objects.entries())
    assert sink.subjects == ["/left"]
