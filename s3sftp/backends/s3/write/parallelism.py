"""How many parts of an upload are worth sending at once. Pure: no clock, no await.

A part takes as long as the store is far, and as one connection is slow; several at once hide both, until
something else is what limits: the network, this process, the client. So there is one trial after the other:

    4 at once ── all places taken, and faster than before? ──► 6 ──► 9 ──► 13 ──► … most
                    └── no faster: back to what was as fast with less, and after a while another trial

A client that does not fill the places changes nothing.
"""

from __future__ import annotations

FIRST = 4
_FASTER = 1.1
"""What is worth more memory and connections."""
_REST = 8
"""Rounds between trials, once one has brought nothing."""


class PartParallelism:
    """Watches one upload's parts. A round is as many parts as there are places."""

    def __init__(self, most: int) -> None:
        self.size = min(FIRST, most)
        """How many parts may be under way."""
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
        """A part is on its way."""
        self._under_way += 1
        if self._since is None:
            self._since = now

    def ended(self, moved: int, now: float) -> None:
        """A part of so many bytes is stored; `now` in seconds, of any clock that does not go back."""
        self._was_full = self._was_full and self._under_way >= self.size
        self._under_way -= 1
        self._moved += moved
        self._ended += 1
        if self._ended >= self.size:
            self._judge(now)

    def failed(self) -> None:
        """A part is not stored."""
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
