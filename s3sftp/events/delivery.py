"""Calls one subscriber's handler, retries failed calls, gives up after the last, and counts the outcomes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from s3sftp.events.subscriber import Committed, Renamed, Subscriber
from s3sftp.runtime.cancellation import StrayCancellationGuard
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")
_cancelled_is_failed = StrayCancellationGuard(
    lambda: RuntimeError("it was cancelled by something of its own")
)
Event = Committed | Renamed


@dataclass(frozen=True, slots=True)
class SubscriberCounts:
    """The outcomes of one subscriber's events so far."""

    delivered: int = 0
    retried: int = 0
    """Attempts beyond the first, counted for each event."""
    given_up: int = 0
    """Events whose last attempt failed too."""
    left: int = 0
    """Events not delivered when the server stopped, or when CLOSE was cut off."""
    refused: int = 0
    """Commits refused because the queue stayed full."""
    waiting: int = 0
    """Events that wait now, for their first or a further attempt."""


class Delivery:
    """Calls a subscriber's handler."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.counts = SubscriberCounts()

    async def deliver(self, events: Sequence[Event], within: float | None = None) -> Exception | None:
        """Deliver the events, or give up and log it. Returns the failure for which they were given up.

        `within` bounds all attempts together, in seconds; without it, `time_limit` bounds each.
        """
        loop, subscriber = asyncio.get_running_loop(), self.subscriber
        deadline = None if within is None else loop.time() + within
        for attempt in itertools.count(1):
            limit = subscriber.time_limit if deadline is None else deadline - loop.time()
            given = events[0] if subscriber.batch is None else list(events)
            failure = await _failure_of(limit, subscriber.handler, given)
            if failure is None:
                self.count("delivered", len(events))
                return None
            pause = subscriber.pause_after(attempt)
            too_late = deadline is not None and loop.time() + pause >= deadline
            if attempt >= subscriber.most_attempts or too_late:
                await self._give_up(events, failure, attempt)
                return failure
            self.count("retried", len(events))
            _log.warning("event.retried", attempt=attempt, pause=pause, **self._about(events, failure))
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def leave(self, events: Sequence[Event]) -> None:
        """Log the events, by name, that the server has no time to deliver."""
        self.count("left", len(events))
        for event in events:
            _log.error("event.undelivered", **self._about([event]))

    def count(self, what: str, number: int) -> None:
        self.counts = replace(self.counts, **{what: getattr(self.counts, what) + number})

    async def _give_up(self, events: Sequence[Event], failure: Exception, attempts: int) -> None:
        self.count("given_up", len(events))
        for event in events:
            _log.error("event.given_up", attempts=attempts, exc_info=failure, **self._about([event], failure))
        if self.subscriber.on_given_up is None:
            return
        handler, limit = self.subscriber.on_given_up, self.subscriber.time_limit
        if (another := await _failure_of(limit, handler, list(events), failure)) is not None:
            _log.error("event.on_given_up_failed", subscriber=self.subscriber.label, exc_info=another)

    def _about(self, events: Sequence[Event], failure: Exception | None = None) -> dict[str, object]:
        first = events[0]
        about: dict[str, object] = {"subscriber": self.subscriber.label}
        if isinstance(first, Committed):
            about |= {"kind": "committed", "path": first.path, "size": first.size}
        else:
            about |= {"kind": "renamed", "path": first.source, "target": first.target}
        about |= {"user": first.session.user, "session": first.session.session_id}
        if len(events) > 1:
            about["and_others"] = len(events) - 1
        if failure is not None:
            about["error"] = f"{type(failure).__name__}: {failure}"
        return about


async def _failure_of(
    limit: float, function: Callable[..., Awaitable[object]], *arguments: object
) -> Exception | None:
    """The failure of a call of the application's code, or None. Raises CancelledError if we cancelled it."""
    try:
        async with asyncio.timeout(limit):
            with _cancelled_is_failed:
                await function(*arguments)
    except Exception as failure:
        return failure
    except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as failure:  # such as a failure of a library that is not written in Python
        return RuntimeError(f"{type(failure).__name__}: {failure}")
    return None
