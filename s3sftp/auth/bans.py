"""Bans sources that fail to log in too often. Pure: no clock, no socket; `now` is any monotonic clock.

failure ──► counted for `window` ──► `failures` of them: banned for `ban_time` ──► forgotten
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from s3sftp.auth.address_patterns import plain_address


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 network that an IPv6 customer is given."""
    try:
        plain = plain_address(address)
    except ValueError:
        return address
    if isinstance(plain, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((plain, 64), strict=False))
    return str(plain)


@dataclass(slots=True)
class _Record:
    failures: deque[float] = field(default_factory=deque)
    banned_until: float = 0.0


class Bans:
    """Counts failed logins by source and bans sources with too many.

    Remembers at most `max_sources`. Beyond that, the source that has been quiet longest is forgotten,
    unbanned sources before banned ones, so that a flood of addresses cannot cheaply evict a ban.
    """

    def __init__(self, failures: int, window: float, ban_time: float, max_sources: int) -> None:
        self._failures = failures
        self._window = window
        self._ban_time = ban_time
        self._max_sources = max_sources
        self._counted: OrderedDict[str, _Record] = OrderedDict()
        self._banned: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counted) + len(self._banned)

    def banned(self, source: str, now: float) -> bool:
        """Whether the source is banned."""
        record = self._banned.get(source)
        if record is None:
            return False
        if now < record.banned_until:
            return True
        del self._banned[source]
        return False

    def failed(self, source: str, now: float) -> bool:
        """Count a failed login. Returns whether it caused a ban."""
        if self._failures == 0 or self.banned(source, now):
            return False
        record = self._counted.setdefault(source, _Record())
        self._counted.move_to_end(source)
        record.failures.append(now)
        while record.failures[0] <= now - self._window:
            record.failures.popleft()
        if len(record.failures) < self._failures:
            self._shrink()
            return False
        del self._counted[source]
        record.failures.clear()
        record.banned_until = now + self._ban_time
        self._banned[source] = record
        self._shrink()
        return True

    def _shrink(self) -> None:
        while len(self) > self._max_sources:
            (self._counted or self._banned).popitem(last=False)
