"""When to try again, and for how long. Pure: no clock, no dice, no socket."""

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
    """It would fail the same way."""
    LATER = "later"
    """It may pass."""
    RENEWED = "renewed"
    """With fresh credentials."""


class RequestKind(enum.Enum):
    """Kinds of request by how long they may take."""

    METADATA = "metadata"
    """Moves no data."""
    DATA = "data"
    """Moves data through this process."""
    JOIN = "join"
    """The store copies or joins data by itself."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast to try again: exponential, full jitter (AWS Architecture Blog, 2015)."""

    attempts: int

    def delay(self, failures: int, dice: float) -> float | None:
        """Seconds to wait after this many failures (from 1), for dice in [0, 1); None: give up."""
        if failures >= self.attempts:
            return None
        return dice * _BACKOFF.delay(failures)


def time_limit(options: S3Options, effort: RequestKind, moved_bytes: int = 0) -> float:
    """Seconds for a request, all attempts together."""
    if effort is RequestKind.METADATA:
        return options.metadata_timeout.total_seconds()
    if effort is RequestKind.DATA:
        return options.data_timeout.total_seconds() + moved_bytes / MIB
    return options.data_timeout.total_seconds() + min(MAX_SERVER_SIDE_SECONDS, moved_bytes / (64 * MIB))


def attempt_limit(left: float, attempt: int, attempts: int) -> float:
    """Seconds for one attempt out of what is left.

    Half of it, so that a request that is met with silence gets another chance; the last attempt gets all.
    """
    return left if attempt >= attempts else left / 2
