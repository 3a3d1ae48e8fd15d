"""Slows down the sessions of a user who sends requests, or moves bytes, faster than allowed.

    request ──► charged ──► accepted ──► the session accepts no other until the debt is paid

Nothing is refused and nothing is kept: the requests that follow stay in the channel, whose window closes.
All sessions of a user, in all workers, draw on the same buckets.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from weakref import WeakValueDictionary

from s3sftp.runtime.rate_buckets import RateBuckets
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.sftp.codec import PacketType
from s3sftp.sftp.request import ReadRequest, Request, TransferRequest, WriteRequest
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import LIMITS_REACHED
from s3sftp.telemetry.metrics import Metrics

_log = get_logger(__name__)
_LOG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What all sessions of a user together may do in a second. 0: there is no limit."""

    upload_bytes: int = 0
    download_bytes: int = 0
    requests: int = 0
    """READs and WRITEs do not count."""


class UserPace:
    """The pace of one user's sessions in this process. `rates` may change at any time."""

    def __init__(self, user: str, rates: Rates, buckets: RateBuckets, metrics: Metrics) -> None:
        self._user = user
        self._uploads = buckets.bucket(f"upload\0{user}")
        self._downloads = buckets.bucket(f"download\0{user}")
        self._requests = buckets.bucket(f"requests\0{user}")
        self._count = metrics.add
        self._throttle = LogThrottle(_LOG_SECONDS)
        self.set(rates)

    def set(self, rates: Rates) -> None:
        """Change the rates, for requests from now on."""
        self._rates = rates
        self.is_limited = rates != Rates()
        """Whether requests have to be charged."""

    def charge_kind(self, kind: int) -> float:
        """Charge a request of a kind. Returns how many seconds the session has to wait before the next."""
        if not self._rates.requests or kind in (PacketType.READ, PacketType.WRITE):
            return 0.0
        return self._reached("requests", self._requests.take(1, self._rates.requests))

    def charge_bytes(self, kind: int, request: Request | TransferRequest) -> float:
        """Charge the bytes that a request brings, or that its answer will at most have. Returns the same."""
        if isinstance(request, WriteRequest):
            if self._rates.upload_bytes and request.size:
                wait = self._uploads.take(request.size, self._rates.upload_bytes)
                return self._reached("upload", wait)
        elif self._rates.download_bytes and kind == PacketType.READ:
            size = _most_bytes(request)
            if size:
                wait = self._downloads.take(size, self._rates.download_bytes)
                return self._reached("download", wait)
        return 0.0

    def _reached(self, limit: str, wait: float) -> float:
        if wait:
            self._count(LIMITS_REACHED.row(limit))
            suppressed = self._throttle.allow(limit, asyncio.get_running_loop().time())
            if suppressed is not None:
                _log.info("limit.reached", user=self._user, limit=limit, suppressed=suppressed)
        return wait


def _most_bytes(request: Request | TransferRequest) -> int:
    if isinstance(request, ReadRequest):
        return request.most_bytes
    return request.answer_bytes if isinstance(request, Request) else 0


class UserPaces:
    """The paces of all users who have sessions in this process."""

    def __init__(self, table: SharedCounters | None, metrics: Metrics) -> None:
        """`table` has `rate_buckets.ROWS` rows, which all workers share."""
        self._buckets = RateBuckets(table)
        self._metrics = metrics
        self._paces: WeakValueDictionary[str, UserPace] = WeakValueDictionary()

    def of(self, user: str, rates: Rates) -> UserPace:
        """The pace of a user with these rates, which replace those that the user's sessions have."""
        pace = self._paces.get(user)
        if pace is None:
            pace = self._paces[user] = UserPace(user, rates, self._buckets, self._metrics)
        else:
            pace.set(rates)
        return pace

    def users(self) -> list[str]:
        """The users who have sessions here."""
        return list(self._paces)

    def change(self, user: str, rates: Rates) -> None:
        """Change the rates of a user's sessions."""
        if (pace := self._paces.get(user)) is not None:
            pace.set(rates)
