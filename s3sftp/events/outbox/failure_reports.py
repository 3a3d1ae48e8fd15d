"""Logs once what fails again and again in the outbox, until it has succeeded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.events")


class FailureReports:
    """What has been reported, by the key or the prefix that it is about."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        """Log a failure of what is at the key, if it is new, and go on."""
        try:
            yield
        except StorageError as error:
            if self.is_new(key):
                _log.warning("events.takeover_failed", key=key, error=str(error), detail=error.detail)
        except Exception:
            if self.is_new(key):
                _log.exception("events.takeover_crashed", key=key)
        else:
            self._reported.discard(key)

    def is_new(self, key: str) -> bool:
        """Whether nothing has been reported about this key; from now on it has."""
        is_new = key not in self._reported
        self._reported.add(key)
        return is_new

    def forget(self, prefix: str) -> None:
        """Report anew what is below a prefix."""
        self._reported = {key for key in self._reported if not key.startswith(prefix)}
