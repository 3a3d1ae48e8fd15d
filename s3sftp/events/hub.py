"""Holds the publishers for all kinds of events of one server, from start to stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from s3sftp.errors import ConfigurationError
from s3sftp.events.delivery import SubscriberCounts
from s3sftp.events.event_types import Committed, Renamed
from s3sftp.events.publisher import Publisher
from s3sftp.events.subscriber import Handler, Subscriber
from s3sftp.events.subscriber_queue import SubscriberQueue

Subscribers = Handler | Subscriber | Iterable[Handler | Subscriber]
"""One or several; a bare handler becomes a subscriber with the defaults."""


class EventHub:
    """The subscribers of each kind of event."""

    def __init__(self, on_committed: Subscribers = (), on_renamed: Subscribers = ()) -> None:
        """Raises ConfigurationError: if two subscribers have the same name, which counts and logs use."""
        committed, renamed = _subscribers(on_committed), _subscribers(on_renamed)
        names = Counter(each.label for each in (*committed, *renamed))
        if twice := [name for name, count in names.items() if count > 1]:
            raise ConfigurationError(
                [f"several subscribers are called {name}: give each a name" for name in twice]
            )
        self.committed = Publisher[Committed](committed)
        self.renamed = Publisher[Renamed](renamed)

    def counts(self) -> Mapping[str, SubscriberCounts]:
        """The counts of each subscriber, by its name."""
        return {**self.committed.counts(), **self.renamed.counts()}

    def start(self) -> None:
        """Begin to deliver."""
        for line in self._lines:
            line.start()

    def hurry(self) -> None:
        """End all waits for room: a commit that would have to wait is refused from now on."""
        for line in self._lines:
            line.hurry()

    async def drain(self) -> None:
        """Wait until every queue is empty."""
        await asyncio.gather(*(line.drain() for line in self._lines))

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Deliver for at most `grace_seconds`, then log what remains."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self.drain()
        await asyncio.gather(*(line.stop() for line in self._lines))

    @property
    def _lines(self) -> list[SubscriberQueue]:
        return [*self.committed.lines.values(), *self.renamed.lines.values()]


def _subscribers(given: Subscribers) -> list[Subscriber]:
    several: Iterable[Any] = given if isinstance(given, Iterable) else [given]
    return [each if isinstance(each, Subscriber) else Subscriber(each) for each in several]
