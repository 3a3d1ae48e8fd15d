"""Who wants to know, and what they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from s3sftp.errors import ConfigurationError
from s3sftp.runtime.backoff import Backoff

Handler = Callable[[Any], Awaitable[object]]
"""Called with an event, or with a list of them where batches were asked for. What it raises is a failure."""
OnGivenUp = Callable[[Sequence[Any], Exception], Awaitable[object]]
"""Called with the events that were given up, and the last failure."""

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A handler and how it is called. All times are in seconds.

    Events are delivered at least once: one whose handler failed half-way, or was cut off, may come again.
    With `concurrency` 1 they come in the order of the commits, and a retried one holds up those behind it.
    Raises ConfigurationError with all that is wrong.
    """

    handler: Handler
    name: str = ""
    """What logs and counts call it. Empty: the name of the handler."""
    queue: int = 1000
    """Events that may wait in memory. When so many do, the next CLOSE waits for room before it publishes."""
    queue_wait: float = 30.0
    """How long a CLOSE waits for room; then it fails as busy, and nothing is published."""
    batch: int | None = None
    """The handler is called with a list of at most so many events; None: with single events."""
    batch_wait: float = 1.0
    """How long the first event of a batch waits for others."""
    concurrency: int = 1
    """How many calls of the handler may run at once."""
    attempts: int | None = None
    """How often the handler is called before an event is given up. None: 5, and 1 with `acknowledge`."""
    first_pause: float = 1.0
    """The pause before the second attempt; each further one is twice as long,"""
    longest_pause: float = 60.0
    """but no longer than this."""
    time_limit: float = 30.0
    """How long one attempt may take; with `acknowledge`, all of them together."""
    acknowledge: bool = False
    """The handler runs before CLOSE is answered, and its failure is CLOSE's; the file is stored by then and
    stays. It has no queue: one call for each CLOSE."""
    on_given_up: OnGivenUp | None = None
    """Told of events that were given up, after the log has them."""

    def __post_init__(self) -> None:
        problems = [f"subscriber {self.label}: {problem}" for problem in self._problems()]
        if problems:
            raise ConfigurationError(problems)

    @property
    def label(self) -> str:
        """Its name."""
        return self.name or getattr(self.handler, "__qualname__", type(self.handler).__name__)

    @property
    def most_attempts(self) -> int:
        return self.attempts or (1 if self.acknowledge else _ATTEMPTS)

    def pause_after(self, attempt: int) -> float:
        """Seconds between a failed attempt, counted from 1, and the next."""
        return Backoff(self.first_pause, self.longest_pause).delay(attempt)

    def _problems(self) -> list[str]:
        problems = [
            f"{option} = {value}: should be at least 1"
            for option in ("queue", "batch", "concurrency", "attempts")
            if (value := getattr(self, option)) is not None and value < 1
        ]
        problems += [
            f"{option} = {value}: should not be negative"
            for option in ("queue_wait", "batch_wait", "first_pause", "longest_pause")
            if (value := getattr(self, option)) < 0
        ]
        if not _is_async(self.handler):
            problems.append(
                "the handler should be an async function; `asyncio.to_thread` calls a blocking one"
            )
        if self.on_given_up is not None and not _is_async(self.on_given_up):
            problems.append("on_given_up should be an async function")
        if self.time_limit <= 0:
            problems.append(f"time_limit = {self.time_limit}: should be more than 0")
        if self.acknowledge and self.batch is not None:
            problems.append("a CLOSE has one file, so there are no batches with acknowledge")
        return problems


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  (an object with an async __call__)
    )
