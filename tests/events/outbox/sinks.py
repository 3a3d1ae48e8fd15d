"""Sinks that do as they are told, and dispatchers that deliver to them from an outbox in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from s3sftp.backends import CompleteBackend, Place, Session
from s3sftp.backends.complete import complete
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.small_objects import ListedPage, VolatileObjects
from s3sftp.backends.spool import SpoolQuota
from s3sftp.events.announcements import Announcer
from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.dispatcher import EventDispatcher
from s3sftp.events.event_metrics import EventMetrics
from s3sftp.events.outbox.settling import Found
from s3sftp.events.routes import Routes, SinkRule
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry.metrics import Metrics

SOON = Backoff(0.01, 0.02)
SESSION = Session("alice", "192.0.2.1:5", session_id="s.1")
ALL = frozenset(EventKind)


class ScriptedSink:
    """A sink whose answer `answer` decides; while `open` is not set, it does not answer."""

    max_batch = 10
    concurrency = 1

    def __init__(self, name: str = "hook", max_batch: int = 10) -> None:
        self.name = name
        self.max_batch = max_batch
        self.accepted: list[CloudEvent] = []
        self.offered: list[str] = []
        self.answer: Callable[[CloudEvent], Exception | None] = lambda _: None
        self.open = asyncio.Event()
        self.open.set()
        self.progress = asyncio.Condition()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        async with self.progress:
            self.offered += [event.subject for event in events]
            self.progress.notify_all()
        await self.open.wait()
        answers = [self.answer(event) for event in events]
        async with self.progress:
            self.accepted += [event for event, answer in zip(events, answers, strict=True) if answer is None]
            self.progress.notify_all()
        return answers

    @property
    def subjects(self) -> list[str]:
        return [event.subject for event in self.accepted]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.progress:
            await self.progress.wait_for(condition)


class CountedObjects(VolatileObjects):
    """Counts what is asked of the store."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.hold: Callable[[str, str], asyncio.Event | None] = lambda what, key: None

    async def put(self, key: str, data: bytes, *, etag: str | None = None, is_new: bool = False) -> str:
        self.requests.append(f"PUT {key}")
        if (held := self.hold("put", key)) is not None:
            await held.wait()
        return await super().put(key, data, etag=etag, is_new=is_new)

    async def read(self, key: str) -> bytes | None:
        self.requests.append(f"GET {key}")
        return await super().read(key)

    async def delete(self, key: str) -> None:
        self.requests.append(f"DELETE {key}")
        await super().delete(key)

    async def page(
        self, prefix: str, *, after: str | None = None, most: int = 1000, delimiter: str = ""
    ) -> ListedPage:
        self.requests.append(f"LIST {prefix}")
        return await super().page(prefix, after=after, most=most, delimiter=delimiter)

    def entries(self, prefix: str = "entries/") -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))


async def _nothing_there(place: Place) -> Found | None:
    return None


def a_backend() -> CompleteBackend:
    return complete(MemoryBackend(), SpoolQuota(None, 0))


@asynccontextmanager
async def dispatching(
    *sinks: ScriptedSink,
    objects: VolatileObjects | None = None,
    takeover: float = 3600.0,
    most_waiting: int = 1000,
    synchronous: bool = False,
    look: Callable[[Place], object] = _nothing_there,
    time_limit: float = 30.0,
    backoff: Backoff = SOON,
) -> AsyncIterator[tuple[Announcer, EventDispatcher]]:
    """A running dispatcher with its announcer; it is stopped at the end, unless it was."""
    rules = [SinkRule(sink.name, ALL, synchronous=synchronous, time_limit=time_limit) for sink in sinks]
    dispatcher = EventDispatcher(
        list(zip(rules, sinks, strict=True)),
        objects or VolatileObjects(),
        EventMetrics(Metrics()),
        look,  # type: ignore[arg-type]
        takeover_seconds=takeover,
        most_waiting=most_waiting,
        backoff=backoff,
    )
    announcer = Announcer(Routes(rules), "urn:test", None, dispatcher)
    await dispatcher.start()
    try:
        yield announcer, dispatcher
    finally:
        await dispatcher.stop()
