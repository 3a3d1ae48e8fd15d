"""A queue of one sink: what one event does to those beside and behind it."""

from __future__ import annotations

from collections.abc import Sequence

from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.sink import EventNotTried, EventRefused
from s3sftp.events.sink_queue import SinkQueue
from s3sftp.runtime.backoff import Backoff
from tests.events.outbox.sinks import SESSION, SOON, ScriptedSink, dispatching

NEVER = Backoff(3600.0, 3600.0)
"""Who pauses once pauses for longer than any test."""


class OneByOne(ScriptedSink):
    """A sink that has time for two events of each batch."""

    async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        answers = await super().deliver(events[:2])
        return [*answers, *[EventNotTried("not tried yet")] * (len(events) - len(answers))]


async def test_events_that_were_not_tried_come_at_once_and_nothing_comes_twice() -> None:
    sink = OneByOne()
    sink.answer = lambda event: EventRefused("no") if event.subject == "/3" else None
    sink.open.clear()
    async with dispatching(sink, backoff=NEVER) as (announcer, dispatcher):
        for number in range(8):
            announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, f"/{number}")
        sink.open.set()
        await sink.until(lambda: len(sink.accepted) == 7)
        queue = dispatcher.queues["hook"]
        assert queue.failing_since is None
    assert sink.subjects == [f"/{number}" for number in range(8) if number != 3]
    assert len(sink.offered) == 8


async def test_what_was_not_tried_is_no_attempt() -> None:
    sink = OneByOne()
    sink.answer = lambda _: OSError("down")
    async with dispatching(sink, backoff=NEVER) as (announcer, dispatcher):
        for number in range(4):
            announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, f"/{number}")
        queue = dispatcher.queues["hook"]
        await until_failing(sink, queue)
        assert sorted(each.attempts for each in queue.items) == [0, 0, 1, 1]


async def test_an_event_that_fails_while_others_are_accepted_pauses_alone() -> None:
    sink = ScriptedSink()
    sink.answer = lambda event: OSError("poison") if event.subject == "/0" else None
    async with dispatching(sink, backoff=NEVER) as (announcer, _):
        for number in range(2):
            announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, f"/{number}")
        await sink.until(lambda: sink.subjects == ["/1"])
        for number in range(2, 50):
            announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, f"/{number}")
        await sink.until(lambda: len(sink.accepted) == 49)
    assert sink.offered.count("/0") == 1


async def test_an_event_that_always_fails_alone_holds_up_no_other_once_one_was_accepted() -> None:
    sink = ScriptedSink(max_batch=1)
    sink.answer = lambda event: OSError("poison") if event.subject == "/0" else None
    async with dispatching(sink, backoff=Backoff(0.01, 3600.0)) as (announcer, dispatcher):
        for number in range(200):
            announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, f"/{number}")
        await sink.until(lambda: len(sink.accepted) == 199)
        [left] = dispatcher.queues["hook"].items
        assert left.event.subject == "/0"
        sink.answer = lambda _: None
        dispatcher.queues["hook"].hurry()
        await sink.until(lambda: len(sink.accepted) == 200)


async def test_an_event_that_spoils_every_batch_is_found_wherever_it_stands() -> None:
    """Such as one to which a service answers 500."""

    class Spoilt(ScriptedSink):
        async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
            if any(event.subject == "/5" for event in events):
                return [OSError("poison")] * len(events)
            return await super().deliver(events)

    sink = Spoilt()
    async with dispatching(sink, backoff=SOON) as (announcer, _):
        for number in range(100):
            announcer.tell(EventKind.DOWNLOAD_COMPLETED, SESSION, f"/{number}")
        await sink.until(lambda: len(sink.accepted) == 99)
    assert "/5" not in sink.subjects


async def until_failing(sink: ScriptedSink, queue: SinkQueue) -> None:
    await sink.until(lambda: bool(sink.offered))
    await queue.drain()
