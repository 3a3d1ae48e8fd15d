"""How far ahead of one reader bytes must be on their way to never keep it waiting. Pure: no clock, no await.

    ahead = 2 × (rate of the reader) × (what the storage takes for one range) + one range

That product is what is on its way when the reader always finds its bytes; twice it, so that a reader whom the
storage holds up can turn out to be faster: then its rate grows, and the product with it, until something else
limits it. As in BBR (Cardwell et al., 2016) the rate is the highest of late, the time the shortest: how long
bytes wait because nobody takes them says nothing about the storage.
"""

from __future__ import annotations

_WINDOW_SECONDS = 0.1
_FADING = 0.9
"""What a rate that was once measured is worth a window later."""
_BEFORE_BYTES = 1 << 20
"""So much may have come before anybody looked: it says nothing about the speed of a connection."""
_STRETCH_BYTES = 2 << 20
"""Less comes in bursts."""


class Throughput:
    """Measured from one reader's ranges."""

    def __init__(self, range_bytes: int) -> None:
        self._range_bytes = range_bytes
        self._latency: float | None = None
        self._bytes_per_second = 0.0
        """Of one connection."""
        self._rate = 0.0
        """Bytes a second of the reader."""
        self._since: float | None = None
        self._taken = 0

    def answered(self, seconds: float) -> None:
        """The first bytes of a range came so long after they were asked for."""
        self._latency = seconds if self._latency is None else min(self._latency, seconds)

    def arrived(self, count: int, seconds: float) -> None:
        """So many bytes of one range came in so long, while more of them were wanted."""
        self._bytes_per_second = max(self._bytes_per_second, count / max(seconds, 1e-6))

    def took(self, count: int, now: float) -> None:
        """The reader has taken bytes; `now` in seconds, of any clock that does not go back."""
        if self._since is None:
            self._since = now
        self._taken += count
        elapsed = now - self._since
        if elapsed >= _WINDOW_SECONDS:
            self._rate = max(self._taken / elapsed, self._rate * _FADING)
            self._since, self._taken = now, 0

    @property
    def range_seconds(self) -> float:
        """What the storage takes for one range, when nothing else is in the way.

        A connection whose speed never showed is one that was never waited for.
        """
        body = self._range_bytes / self._bytes_per_second if self._bytes_per_second else 0.0
        return (self._latency or 0.0) + body

    @property
    def ahead(self) -> int:
        """Bytes to have on their way, two ranges at least."""
        return self._range_bytes + max(self._range_bytes, int(2 * self._rate * self.range_seconds))


class ThroughputSample:
    """What comes of one range without a pause of ours, for the speed of its connection."""

    def __init__(self, pace: Throughput) -> None:
        self._pace = pace
        self._skipped = self._came = 0
        self._since = 0.0

    def came(self, count: int, now: float) -> None:
        """A piece came, and the next is wanted."""
        if self._skipped < _BEFORE_BYTES:
            self._skipped += count
            self._since = now
            return
        self._came += count
        if self._came >= _STRETCH_BYTES:
            self._pace.arrived(self._came, now - self._since)
            self._came, self._since = 0, now

    def paused(self) -> None:
        """Nobody wants the next piece for now; it comes meanwhile."""
        self._skipped = self._came = 0
