"""The sinks: a webhook, a queue, a topic and a bus, each behind a door, and what has arrived there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from testbed.s3_store import Store
from tests.events.losses.door import Door, door
from tests.events.outbox.listener import Listener
from tests.events.sinks.aws_services import REGION, AwsServices
from tests.support.server import Groups

Event = dict[str, Any]


@dataclass
class Receiver:
    """One sink."""

    name: str
    door: Door
    options: dict[str, Any]
    """What the server's configuration says of it."""
    _new: Callable[[], list[Event]]
    events: list[Event] = field(default_factory=list)
    """Each event that was accepted, once for each time, as far as it was collected."""

    async def collect(self) -> None:
        """Fetch what has arrived since the last time."""
        self.events += await asyncio.to_thread(self._new)


def options_of(receivers: list[Receiver]) -> Groups:
    """The tables of all sinks for a server. Attempts have a long time, so that a busy machine causes none."""
    common = {"kinds": ["upload.committed"], "time_limit": "60 s"}
    return {f"events.sinks.{each.name}": {**common, **each.options} for each in receivers}


@asynccontextmanager
async def receivers(moto: Store) -> AsyncIterator[list[Receiver]]:
    """One sink of each kind that is another system."""
    services = AwsServices(moto)
    queue = await asyncio.to_thread(services.queue)
    topic, of_topic = await asyncio.to_thread(services.topic)
    bus, of_bus = await asyncio.to_thread(services.bus, {"source": ["s3sftp"]})
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(Listener())

        def posted() -> list[Event]:
            new, listener.events = listener.events, []
            return new

        def messages(queue: str, content: Callable[[Event], Event]) -> Callable[[], list[Event]]:
            return lambda: [content(json.loads(each["Body"])) for each in services.received(queue)]

        hook_door = await stack.enter_async_context(door(f"http://127.0.0.1:{listener.port}"))
        doors = [await stack.enter_async_context(door(moto.endpoint_url)) for _ in range(3)]
        access = [{"endpoint_url": each.url, "region": REGION} for each in doors]
        yield [
            Receiver("hook", hook_door, {"type": "webhook", "url": f"{hook_door.url}/events"}, posted),
            Receiver(
                "queue",
                doors[0],
                {"type": "sqs", "queue_url": queue, **access[0]},
                messages(queue, lambda body: body),
            ),
            Receiver(
                "topic",
                doors[1],
                {"type": "sns", "topic_arn": topic, **access[1]},
                messages(of_topic, lambda body: json.loads(body["Message"])),
            ),
            Receiver(
                "bus",
                doors[2],
                {"type": "eventbridge", "bus": bus, **access[2]},
                messages(of_bus, lambda body: body["detail"]),
            ),
        ]
