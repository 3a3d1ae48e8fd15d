"""Remembers the latest logins that failed in this process, as the log has them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from s3sftp.telemetry.logs import printable

MAX_REMEMBERED = 500
EVENTS = frozenset(
    {
        "login.failed",
        "login.refused",
        "login.key_barred",
        "login.certificate_refused",
        "login.signature_refused",
    }
)
"""Events of the log that are failed logins."""
_METHODS = {"login.certificate_refused": "certificate"}
_REASONS = {
    "login.failed": "wrong password or key, or no such user",
    "login.refused": "the user has too many connections",
    "login.signature_refused": "the client signs with an algorithm that is not accepted",
}


@dataclass(frozen=True, slots=True)
class RememberedLogin:
    """A login that failed."""

    time: float
    """Seconds since the epoch."""
    user: str
    peer: str
    method: str
    reason: str


class FailedLogins:
    """The latest ones. Its method `note` is a reader for `EventTap.listen`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._latest: deque[RememberedLogin] = deque(maxlen=MAX_REMEMBERED)

    def note(self, event: str, fields: Mapping[str, Any]) -> None:
        """Remember a failure. Neither waits nor raises."""
        self._latest.append(
            RememberedLogin(
                self._clock(),
                printable(str(fields.get("user") or "")),
                printable(str(fields.get("source") or fields.get("peer") or "")),
                printable(str(fields.get("method") or _METHODS.get(event, "publickey"))),
                printable(str(fields.get("reason") or _REASONS.get(event, event))),
            )
        )

    def latest(self) -> Iterator[RememberedLogin]:
        """The latest first."""
        return reversed(self._latest.copy())  # threads note failures too
