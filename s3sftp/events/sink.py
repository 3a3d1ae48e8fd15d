"""What delivers events to another system: a queue, a topic, a bus, a webhook or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s3sftp.events.cloud_event import CloudEvent


class EventRefused(Exception):
    """The sink has understood the event and will never accept it: another attempt is useless."""


class EventNotTried(Exception):
    """The sink has not offered the event, because others took its time. That is no failed attempt."""


class EventSink(Protocol):
    """One destination. Calls of `deliver` may overlap only if `concurrency` is above 1."""

    name: str
    """Its name in the configuration, in logs and in metrics."""
    max_batch: int
    """Maximum number of events in one call."""
    concurrency: int
    """Maximum number of concurrent calls."""

    async def start(self) -> None:
        """Prepare. Does not fail because the destination is down."""

    async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        """Offer the events, in their order.

        Returns for each: None if the destination has accepted it for good, the failure otherwise
        (EventRefused: it never will; EventNotTried: it was not asked). Takes at most three times the sink's
        time limit, and tries at least one. May be cancelled at any time; never raises otherwise.
        """

    async def close(self) -> None:
        """Release what it holds."""
