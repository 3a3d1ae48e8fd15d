"""Decides when to retry a request and how long each attempt may take. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from s3sftp.backends.s3.options import MIB, S3Options
from s3sftp.runtime.backoff import Backoff

MAX_SERVER_SIDE_SECONDS = 600.0
_BACKOFF = Backoff(first=0.2, longest=5.0)


class RetryAdvice(enum.Enum):
    """What may help after a failure."""

    NEVER = "never"
    """Nothing: the request would fail the same way."""
    LATER = "later"
    """A later attempt."""
    RENEWED = "renewed"
    """An attempt with fresh credentials."""


class RequestKind(enum.Enum):
    """The kind of a request, which decides its deadline."""

    METADATA = "metadata"
    """The request moves no data."""
    DATA = "data"
    """The request moves data through this process."""
    JOIN = "join"
    """The store copies or joins data by itself."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The number of attempts and the pauses between them: exponential backoff with full jitter (AWS
    Architecture Blog, 2015)."""

    attempts: int

    def delay(self, failures: int, dice: float) -> float | None:
        """Seconds to wait after this many failures (from 1), for `dice` in [0, 1). None: give up."""
        if failures >= self.attempts:
            return None
        return dice * _BACKOFF.delay(failures)


def time_limit(options: S3Options, kind: RequestKind, moved_bytes: int = 0) -> float:
    """Seconds for a request, all attempts together."""
    if kind is RequestKind.METADATA:
        return options.metadata_timeout.total_seconds()
    if kind is RequestKind.DATA:
        return options.data_timeout.total_seconds() + moved_bytes / MIB
    return options.data_timeout.total_seconds() + min(MAX_SERVER_SIDE_SECONDS, moved_bytes / (64 * MIB))


def attempt_limit(left: float, attempt: int, attempts: int) -> float:
    """Seconds for one attempt out of the seconds that are left.

    Each attempt gets half of them, so that a request without any reply gets another chance. The last gets
    all.
    """
    return left if attempt >= attempts else left / 2
