"""Decides how far ahead of a reader to fetch, from the pattern of its READs. Pure: no clock, no await.

READ 0..32K       first READ at the start: expect a sequential reader, fetch 32K ahead
READ 32K..64K     sequential: double
…                 up to `most`
READ 900M..       elsewhere: no read-ahead, only the requested bytes
"""

from __future__ import annotations

from dataclasses import dataclass

_NEAR_BYTES = 4 << 20
"""Pipelined READs may arrive slightly out of order: within this distance, the read-ahead stays as it is."""

_READ_TIMES = 8
"""The read-ahead is at most this multiple of the bytes that were read sequentially."""


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
