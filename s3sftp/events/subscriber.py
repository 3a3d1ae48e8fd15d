"""A subscriber: an application's handler, how it is called, and the events that it receives."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s3sftp.backends import Place, Session
from s3sftp.errors import ConfigurationError
from s3sftp.runtime.backoff import Backoff

Handler = Callable[[Any], Awaitable[object]]
"""Called with an event, or with a list of events if `batch` is set. Any exception counts as a failure."""
OnGivenUp = Callable[[Sequence[Any], Exception], Awaitable[object]]
"""Called with the events that were given up, and the last failure."""

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Committed:
    """The storage has accepted a whole file under its name."""

    path: str
    """The path as the user sees it. Bytes that are not UTF-8 are lone surrogates, which `os.fsencode`
    converts."""
    place: Place
    """Where the file is in the storage; `place.key` is its key."""
    size: int
    version: str | None
    """The version that the storage reports (S3: the ETag, with its quotes); None if it reports none."""
    mtime: float | None
    """Seconds since the epoch; None if the storage does not report it."""
    session: Session
    """The session of the upload."""
    duration: float
    """Seconds from OPEN to the commit."""
    committed_at: float
    """Seconds since the epoch."""
    trace_context: Mapping[str, str]
    """W3C headers of the operation that committed the file; empty while tracing is off."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file or a directory tree has been renamed."""

    source: str
    target: str
    source_place: Place
    target_place: Place
    session: Session
    renamed_at: float
    """Seconds since the epoch."""
    trace_context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A handler and how it is called. All times are in seconds.

    Events are delivered at least once: one whose handler failed half-way, or was cut off, may come again.
    With `concurrency` 1 they come in the order of the commits, and a retried event delays those behind it.

    Raises ConfigurationError: if arguments are invalid; the error lists all problems.
    """

    handler: Handler
    name: str = ""
    """The name in logs and counts. If empty, the name of the handler."""
    queue: int = 1000
    """Maximum number of events that wait in memory. When it is reached, the next CLOSE waits for room before
    it commits."""
    queue_wait: float = 30.0
    """Maximum wait of a CLOSE for room; then it fails as busy, and nothing is committed."""
    batch: int | None = None
    """The handler is called with a list of at most this many events. None: with single events."""
    batch_wait: float = 1.0
    """Maximum wait of the first event of a batch for others."""
    concurrency: int = 1
    """Maximum number of concurrent calls of the handler."""
    attempts: int | None = None
    """Maximum attempts before an event is given up. None: 5, and 1 with `acknowledge`."""
    first_pause: float = 1.0
    """The pause before the second attempt. It doubles with each further attempt,"""
    longest_pause: float = 60.0
    """but never exceeds this."""
    time_limit: float = 30.0
    """Maximum duration of one attempt; with `acknowledge`, of all attempts together."""
    acknowledge: bool = False
    """The handler runs before CLOSE is answered, and CLOSE fails if it fails; the file is stored by then, and
    stays. There is no queue: one call for each CLOSE."""
    on_given_up: OnGivenUp | None = None
    """Called with events that were given up, after they are logged."""

    def __post_init__(self) -> None:
        problems = [f"subscriber {self.label}: {problem}" for problem in self._problems()]
        if problems:
            raise ConfigurationError(problems)

    @property
    def label(self) -> str:
        """The name in logs and counts."""
        return self.name or getattr(self.handler, "__qualname__", type(self.handler).__name__)

    @property
    def most_attempts(self) -> int:
        return self.attempts or (1 if self.acknowledge else _ATTEMPTS)

    def pause_after(self, attempt: int) -> float:
        """Seconds between failed attempt number `attempt`, counted from 1, and the next."""
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
