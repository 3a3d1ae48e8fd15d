"""The line that each transfer leaves in the log, and each file that is hashed."""

from __future__ import annotations

import time

from s3sftp.backends import Session
from s3sftp.fs.paths import VirtualPath
from s3sftp.telemetry import Costs, get_logger

_log = get_logger("s3sftp.fs.openfiles")  # whose transfers they are


class Transfer:
    """What one open file moved and cost; says so once, when it ends."""

    def __init__(self, direction: str, path: VirtualPath, session: Session, costs: Costs) -> None:
        self.costs = costs
        self.path = path
        self.bytes = 0
        self._direction = direction
        self._session = session
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was opened."""
        return time.monotonic() - self._started

    def end(self, outcome: str, *, size: int, error: Exception | None = None) -> None:
        """Log the line. `outcome` is `stored`, `read`, `failed` or `aborted`."""
        log = _log.info if error is None and outcome != "aborted" else _log.warning
        log(
            "transfer",
            direction=self._direction,
            outcome=outcome,
            path=str(self.path),
            bytes=self.bytes,
            size=size,
            seconds=round(self.seconds, 3),
            s3_requests=dict(self.costs.requests),
            s3_retries=self.costs.retries,
            user=self._session.user,
            peer=self._session.peer,
            session=self._session.session_id,
            **_reason(error),
        )


def _reason(error: Exception | None) -> dict[str, str]:
    if error is None:
        return {}
    detail = getattr(error, "detail", None)
    return {"error": f"{type(error).__name__}: {error}"} | ({"detail": detail} if detail else {})
