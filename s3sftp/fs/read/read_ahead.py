"""Decides how far ahead of a reader to fetch. Pure: no clock, no await.

`ReadAhead` follows the pattern of the READs:

    READ 0..32K       first READ at the start: expect a sequential reader, fetch 32K ahead
    READ 32K..64K     sequential: double
    …                 up to `most`
    READ 900M..       elsewhere: no read-ahead, only the requested bytes

`Throughput` measures the read-ahead that hides the latency of the storage, which is `most` unless the options
or the byte budget allow less:

    ahead = 2 × (rate of the reader) × (time that the storage takes for one range) + one range

The product of rate and time is the read-ahead that suffices if the reader never waits. It is doubled because
a reader that the storage slows down may be faster than measured: then its rate grows, and the product with
it, until something else limits it. As in BBR (Cardwell et al., 2016), the rate is the recent maximum and the
time the minimum, because the time that bytes wait for the reader reveals nothing about the storage.
"""

from __future__ import annotations

from dataclasses import dataclass

_NEAR_BYTES = 4 << 20
"""Pipelined READs may arrive slightly out of order: within this distance, the read-ahead stays as it is."""

_READ_TIMES = 8
"""The read-ahead is at most this multiple of the bytes that were read sequentially."""
_WINDOW_SECONDS = 0.1
_FADING = 0.9
"""The factor by which a measured rate decays per window."""
_BEFORE_BYTES = 1 << 20
"""Bytes that may have been buffered before they were read, and so do not show the connection's speed."""
_STRETCH_BYTES = 2 << 20
"""The minimum sample: fewer bytes arrive in bursts."""


@dataclass(slots=True)
class ReadAhead:
    """The read-ahead of one open file. All numbers are in bytes."""

    size: int
    most: int
    """The maximum read-ahead."""
    position: int = 0
    """The offset at which a sequential reader would read next."""
    ahead: int = 0
    read: int = 0
    """The bytes read sequentially: they bound the read-ahead, so that short reads cause little of it."""

    def observe(self, start: int, stop: int) -> int:
        """Note a read of `[start, stop)`. Returns the offset up to which bytes should be fetched.

        The offset is at least `stop` and at most the size. `stop` itself means no read-ahead.
        """
        if start == self.position:
            self.read += stop - start
            self.ahead = min(self.most, max(2 * self.ahead, stop - start), _READ_TIMES * self.read)
            self.position = stop
        elif self.ahead and abs(start - self.position) <= _NEAR_BYTES:
            self.position = max(self.position, stop)
        else:
            self.ahead = self.read = 0
            self.position = stop
        return min(self.size, stop + self.ahead)


class Throughput:
    """The measurements of one reader and of its ranged requests."""

    def __init__(self, range_bytes: int) -> None:
        self._range_bytes = range_bytes
        self._latency: float | None = None
        self._bytes_per_second = 0.0
        """The maximum throughput of one connection to the storage."""
        self._rate = 0.0
        """The rate of the reader in bytes per second."""
        self._since: float | None = None
        self._taken = 0

    def answered(self, seconds: float) -> None:
        """Note the latency of a range: the seconds from the request to its first bytes."""
        self._latency = seconds if self._latency is None else min(self._latency, seconds)

    def arrived(self, count: int, seconds: float) -> None:
        """Note that `count` bytes of one range arrived in `seconds`, without a pause by the reader."""
        self._bytes_per_second = max(self._bytes_per_second, count / max(seconds, 1e-6))

    def took(self, count: int, now: float) -> None:
        """Note that the reader has taken `count` bytes. `now` is in seconds on any monotonic clock."""
        if self._since is None:
            self._since = now
        self._taken += count
        elapsed = now - self._since
        if elapsed >= _WINDOW_SECONDS:
            self._rate = max(self._taken / elapsed, self._rate * _FADING)
            self._since, self._taken = now, 0

    @property
    def range_seconds(self) -> float:
        """The seconds that the storage takes for one range if nothing else slows it down.

        If the throughput is unknown, no reader has waited for the connection, so only the latency counts.
        """
        body = self._range_bytes / self._bytes_per_second if self._bytes_per_second else 0.0
        return (self._latency or 0.0) + body

    @property
    def ahead(self) -> int:
        """The read-ahead in bytes, at least two ranges."""
        return self._range_bytes + max(self._range_bytes, int(2 * self._rate * self.range_seconds))


class ThroughputSample:
    """Samples the throughput of one range's connection, between pauses of the reader."""

    def __init__(self, throughput: Throughput) -> None:
        self._throughput = throughput
        self._skipped = self._came = 0
        self._since = 0.0

    def came(self, count: int, now: float) -> None:
        """Note a piece of `count` bytes that arrived while the next is awaited."""
        if self._skipped < _BEFORE_BYTES:
            self._skipped += count
            self._since = now
            return
        self._came += count
        if self._came >= _STRETCH_BYTES:
            self._throughput.arrived(self._came, now - self._since)
            self._came, self._since = 0, now

    def paused(self) -> None:
        """Discard the sample, because bytes arrive unread while the fetch is paused."""
        self._skipped = self._came = 0
