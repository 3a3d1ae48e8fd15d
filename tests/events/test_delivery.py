"""Queues are bounded, failures retried and counted, nothing is lost without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import Busy, ConfigurationError
from s3sftp.events import Committed, EventHub, Subscriber, SubscriberCounts
from s3sftp.fs import VirtualPath
from tests.events.faulty_subscribers import Ear, put, until, volume_with
from tests.support.logs import capture_events


async def test_a_full_queue_holds_up_the_next_commit_before_anything_is_published() -> None:
    ear, backend = Ear(gate=asyncio.Event()), MemoryBackend()
    events = EventHub(Subscriber(ear.hear, name="slow", queue=2))
    async with volume_with(events, backend) as files:
        for number in range(3):  # one in hand, two in the queue
            await put(files, f"/{number}")
            await until(lambda: ear.calls)
        closing = asyncio.create_task(put(files, "/late"))
        await asyncio.sleep(0.1)
        assert not closing.done()
        assert b"alice/late" not in backend.objects
        assert events.counts()["slow"].waiting == 3
        assert ear.gate is not None
        ear.gate.set()
        await closing
        await until(lambda: len(ear.heard) == 4)
    assert ear.paths == ["/0", "/1", "/2", "/late"]


async def test_a_queue_that_stays_full_refuses_the_file_and_nothing_is_published_or_lost() -> None:
    ear, backend = Ear(gate=asyncio.Event()), MemoryBackend()
    events = EventHub(Subscriber(ear.hear, name="stuck", queue=1, queue_wait=0.1))
    async with volume_with(events, backend) as files:
        await put(files, "/a")
        await until(lambda: ear.calls)
        await put(files, "/b")
        for _ in range(3):
            with pytest.raises(Busy, match="try again") as refused:
                await put(files, "/c")
        assert refused.value.detail == "the queue of subscriber stuck is full"
        assert b"alice/c" not in backend.objects
        assert backend.open_uploads == 0
        assert files.shared.budget.used == 0
        assert events.counts()["stuck"].refused == 3
        assert ear.gate is not None
        ear.gate.set()
        await until(lambda: len(ear.heard) == 2)
        await put(files, "/c")  # the refused ones kept no room
        await until(lambda: len(ear.heard) == 3)
    assert ear.paths == ["/a", "/b", "/c"]


async def test_an_upload_that_fails_gives_its_room_back() -> None:
    ear = Ear()

    def fail(method: str, place: Any) -> None:
        if method == "finish_write" and place.name.startswith(b"bad"):
            raise Busy

    events = EventHub(Subscriber(ear.hear, queue=1, queue_wait=0.1))
    async with volume_with(events, MemoryBackend(fail=fail)) as files:
        for _ in range(3):
            with pytest.raises(Busy, match="storage is busy"):
                await put(files, "/bad")
        await put(files, "/good")
        await until(lambda: ear.heard)


async def test_a_close_that_is_cancelled_while_it_waits_for_room_publishes_nothing() -> None:
    ear, backend = Ear(gate=asyncio.Event()), MemoryBackend()
    async with volume_with(EventHub(Subscriber(ear.hear, queue=1)), backend) as files:
        await put(files, "/a")
        await until(lambda: ear.calls)
        await put(files, "/b")
        closing = asyncio.create_task(put(files, "/c"))
        await asyncio.sleep(0.05)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        assert b"alice/c" not in backend.objects
        assert backend.open_uploads == 0
        assert len(files.shared.writers) == 0
        assert ear.gate is not None
        ear.gate.set()
        await until(lambda: len(ear.heard) == 2)
        await put(files, "/d")
        await until(lambda: len(ear.heard) == 3)


async def test_one_that_raises_twice_and_then_works_gets_the_event_once_more_each_time() -> None:
    ear = Ear(failures=[ValueError("one"), ValueError("two")])
    events = EventHub(Subscriber(ear.hear, name="shaky", first_pause=0.01))
    async with volume_with(events) as files:
        with capture_events() as log:
            await put(files, "/f")
            await until(lambda: ear.heard)
        assert events.counts()["shaky"] == SubscriberCounts(delivered=1, retried=2)
    warnings = [entry for entry in log if entry["event"] == "event.retried"]
    assert [(entry["subscriber"], entry["path"], entry["error"]) for entry in warnings] == [
        ("shaky", "/f", "ValueError: one"),
        ("shaky", "/f", "ValueError: two"),
    ]


@pytest.mark.parametrize("raised", [RuntimeError("this fails too"), asyncio.CancelledError()], ids=repr)
async def test_one_that_always_raises_is_given_up_loudly_and_the_next_event_has_its_turn(
    raised: BaseException,
) -> None:
    told: list[tuple[list[str], str]] = []

    async def broken(event: Committed) -> None:
        if event.path == "/bad":
            raise ValueError("never")
        fine.append(event.path)

    async def on_given_up(events: Sequence[Committed], failure: Exception) -> None:
        told.append(([event.path for event in events], str(failure)))
        raise raised

    fine: list[str] = []
    events = EventHub(
        Subscriber(broken, name="broken", attempts=3, first_pause=0.01, on_given_up=on_given_up)
    )
    async with volume_with(events) as files:
        with capture_events() as log:
            await put(files, "/bad")
            await put(files, "/good")
            await until(lambda: fine)
        assert events.counts()["broken"] == SubscriberCounts(delivered=1, retried=2, given_up=1)
    (entry,) = [entry for entry in log if entry["event"] == "event.given_up"]
    assert (entry["log_level"], entry["subscriber"], entry["path"], entry["attempts"]) == (
        "error",
        "broken",
        "/bad",
        3,
    )
    assert told == [(["/bad"], "never")]


async def test_one_that_takes_no_event_fails_like_any_other() -> None:
    async def deaf() -> None: ...

    events = EventHub(Subscriber(cast(Any, deaf), name="deaf", attempts=1))
    async with volume_with(events) as files:
        for path in ("/one", "/another"):
            await put(files, path)
        await until(lambda: events.counts()["deaf"].given_up == 2)


async def test_one_that_hangs_is_cut_off_and_tried_again() -> None:
    ear = Ear(gate=asyncio.Event())
    events = EventHub(Subscriber(ear.hear, name="hangs", time_limit=0.05, attempts=2, first_pause=0.01))
    async with volume_with(events) as files:
        await put(files, "/f")
        await until(lambda: events.counts()["hangs"].given_up)
        assert (ear.calls, ear.at_once) == (2, 0)


class Panic(BaseException):
    """As libraries raise it that are not written in Python."""


@pytest.mark.parametrize("raised", [asyncio.CancelledError(), Panic()], ids=repr)
async def test_a_handler_that_is_cancelled_by_something_of_its_own_is_a_failure_and_not_the_end(
    raised: BaseException,
) -> None:
    ear = Ear(failures=[raised])
    events = EventHub(Subscriber(ear.hear, name="own", first_pause=0.01))
    async with volume_with(events) as files:
        await put(files, "/f")
        await until(lambda: ear.heard)
        assert events.counts()["own"].retried == 1


async def test_batches_are_as_large_as_asked_for_and_wait_for_more_only_so_long() -> None:
    batches: list[list[str]] = []

    async def hear(events: Sequence[Committed]) -> None:
        batches.append([event.path for event in events])

    async with volume_with(EventHub(Subscriber(hear, batch=3, batch_wait=0.2))) as files:
        for number in range(4):
            await put(files, f"/{number}")
        await until(lambda: len(batches) == 2)
    assert batches == [["/0", "/1", "/2"], ["/3"]]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_so_many_calls_run_at_once_and_no_more(concurrency: int) -> None:
    ear = Ear(gate=asyncio.Event())
    async with volume_with(EventHub(Subscriber(ear.hear, concurrency=concurrency))) as files:
        for number in range(6):
            await put(files, f"/{number}")
        await until(lambda: ear.at_once == concurrency)
        assert ear.gate is not None
        ear.gate.set()
        await until(lambda: len(ear.heard) == 6)
    assert ear.most_at_once == concurrency


async def test_a_subscriber_that_hangs_does_not_hold_up_another() -> None:
    stuck, free = Ear(gate=asyncio.Event()), Ear()
    events = EventHub([Subscriber(stuck.hear, name="stuck"), Subscriber(free.hear, name="free")])
    async with volume_with(events) as files:
        for number in range(5):
            await put(files, f"/{number}")
        await until(lambda: len(free.heard) == 5)
        assert events.counts()["stuck"].waiting == 5


async def test_what_waits_is_delivered_within_the_time_to_stop_and_a_batch_waits_no_longer() -> None:
    batches: list[list[str]] = []

    async def hear(events: Sequence[Committed]) -> None:
        await asyncio.sleep(0.05)
        batches.append([event.path for event in events])

    events = EventHub(Subscriber(hear, name="late", batch=2, batch_wait=60))
    async with volume_with(events) as files:
        for number in range(5):
            await put(files, f"/{number}")
        await events.stop(5)
    assert [path for batch in batches for path in batch] == [f"/{number}" for number in range(5)]
    assert events.counts()["late"] == SubscriberCounts(delivered=5)


async def test_what_is_left_at_the_end_is_named_in_the_log() -> None:
    """Stopped in the pause between two attempts, with others in the queue."""
    ear = Ear(failures=[ValueError("not now")] * 9)
    events = EventHub(Subscriber(ear.hear, name="late", first_pause=60))
    async with volume_with(events) as files:
        await put(files, "/a")
        await put(files, "/b")
        await until(lambda: ear.calls)
        with capture_events() as log:
            await events.stop(0.05)
    left = [entry for entry in log if entry["event"] == "event.undelivered"]
    assert [(entry["log_level"], entry["subscriber"], entry["path"]) for entry in left] == [
        ("error", "late", "/a"),
        ("error", "late", "/b"),
    ]
    assert events.counts()["late"] == SubscriberCounts(retried=1, left=2)


async def test_who_waits_for_room_when_the_server_stops_is_refused_at_once() -> None:
    ear = Ear(gate=asyncio.Event())
    events = EventHub(Subscriber(ear.hear, queue=1, queue_wait=60))
    async with volume_with(events) as files:
        await put(files, "/a")
        await until(lambda: ear.calls)
        await put(files, "/b")
        closing = asyncio.create_task(put(files, "/c"))
        await asyncio.sleep(0.05)
        events.hurry()
        with pytest.raises(Busy):
            await asyncio.wait_for(closing, 5)


def test_pauses_double_up_to_the_longest() -> None:
    async def hear(event: object) -> None: ...

    subscriber = Subscriber(hear, first_pause=1, longest_pause=5)
    assert [subscriber.pause_after(attempt) for attempt in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]


def test_all_that_is_wrong_with_a_subscriber_is_said_at_once() -> None:
    def blocking(event: object) -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        Subscriber(blocking, queue=0, batch=0, queue_wait=-1, time_limit=0, acknowledge=True)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 6


def test_subscribers_need_names_that_differ() -> None:
    ear = Ear()
    with pytest.raises(ConfigurationError, match="give each a name"):
        EventHub([ear.hear, ear.hear])


def test_a_bare_handler_is_called_by_its_own_name() -> None:
    assert list(EventHub(Ear().hear).counts()) == ["Ear.hear"]
    assert VirtualPath.parse(b"/a").text == "/a"
