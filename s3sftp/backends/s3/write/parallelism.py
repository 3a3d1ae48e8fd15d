"""Finds out by measuring how many parts of an upload to send at once. Pure: no clock, no await.

A part takes long if the store is far away or a single connection is slow. Several parts at once hide both,
until something else is the bottleneck: the network, this process, the client. So the upload tries one step
after another:

    4 at once ── all slots taken, and faster than before? ──► 6 ──► 9 ──► 13 ──► … most
                    └── not faster: back to the smallest number that was as fast, and later another trial

Rounds in which the client does not fill the slots change nothing.
"""

from __future__ import annotations

FIRST = 4
_FASTER = 1.1
"""The speed-up that justifies more memory and connections."""
_REST = 8
"""Rounds until the next trial after one without a gain."""


class PartParallelism:
    """Measures the parts of one upload. A round is as many parts as there are slots."""

    def __init__(self, most: int) -> None:
        self.size = min(FIRST, most)
        """Maximum parts under way."""
        self._most = most
        self._under_way = 0
        self._before = self.size
        """The size of the round with the best rate."""
        self._best = 0.0
        self._rest = 0
        self._since: float | None = None
        self._moved = self._ended = 0
        self._was_full = True

    def began(self, now: float) -> None:
        """Record that a part has been started; `now` in seconds."""
        self._under_way += 1
        if self._since is None:
            self._since = now

    def ended(self, moved: int, now: float) -> None:
        """Record that a part of `moved` bytes is stored; `now` in seconds of a monotonic clock."""
        self._was_full = self._was_full and self._under_way >= self.size
        self._under_way -= 1
        self._moved += moved
        self._ended += 1
        if self._ended >= self.size:
            self._judge(now)

    def failed(self) -> None:
        """Record that a part has failed."""
        self._under_way -= 1

    def _judge(self, now: float) -> None:
        began = now if self._since is None else self._since
        if self._was_full and now > began:
            self._go_on(self._moved / (now - began))
        self._since, self._moved, self._ended, self._was_full = now, 0, 0, True

    def _go_on(self, rate: float) -> None:
        if self._rest:
            self._rest -= 1
            self._best = rate
            return
        if rate > self._best * _FASTER:
            self._best, self._before = rate, self.size
            self.size = min(self._most, self.size + max(1, self.size // 2))
        else:
            self.size, self._rest = self._before, _REST
