"""How far ahead of a reader bytes should be on their way. Pure: no clock, no await.

READ 0..32K       first read at the start: expect a sequential reader, go 32K ahead
READ 32K..64K     follows: double
…                 up to `most`
READ 900M..       elsewhere: nothing ahead, only what was asked for
"""

from __future__ import annotations

from dataclasses import dataclass

_NEAR_BYTES = 4 << 20
"""Pipelined requests may arrive a little out of order: this near, the pace is kept but not raised."""

_READ_TIMES = 8
"""So many times what was read in a row is the most to go ahead."""


@dataclass(slots=True)
class ReadAhead:
    """Watches one open file's reads and says how far to go."""

    size: int
    most: int
    """The most bytes ahead."""
    position: int = 0
    """Where a sequential reader would read next."""
    ahead: int = 0
    read: int = 0
    """Bytes that were read in a row: who reads little is not fetched much for."""

    def observe(self, start: int, stop: int) -> int:
        """Note a read of `[start, stop)`; return the offset up to which bytes should be on their way.

        At least `stop` and at most the size. Exactly `stop` means: fetch only what was asked for.
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
