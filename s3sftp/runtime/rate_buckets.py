"""Token buckets that several processes share, each for a name such as a user's.

    full: one second's worth ──► take 3 ──► less, or a debt ──► refilled at the rate, up to one second's worth

Whoever takes pays at once, if need be into debt, and then waits until the debt is paid. So those who share a
bucket are served in the order in which they take, none starves, and in any time of T seconds at most
rate · (T + 1 s) is taken, and what each of them takes at once.

A bucket is one number, the time at which it would be empty of debt (GCRA's theoretical arrival time), so it
needs no refilling; a full one is a time that is over by a second, so its place in memory can be used again.

    entry    tag of the name │ time in nanoseconds of the monotonic clock

All processes read and write all entries, without a lock. If two take from one bucket within the same
microsecond, one of the two may go unpaid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from s3sftp.runtime.shared_counters import SharedCounters

ROWS: Final = 1 << 13
"""64 KiB for each worker, or 4 096 buckets that are in use at the same time."""
_PLACES: Final = 8
"""Adjacent entries in which the one of a name may be."""
_NANO: Final = 1_000_000_000
BURST_NS: Final = _NANO
"""What a full bucket holds, as time at its rate."""


class RateBuckets:
    """The buckets of one server, as one process sees them."""

    def __init__(
        self, table: SharedCounters | None = None, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """`table` has `ROWS` rows; None: a table of this process alone. `clock` returns nanoseconds, and is
        the same for all processes."""
        self._words = (table or SharedCounters.alone(ROWS)).numbers
        self._sets = len(self._words) // (2 * _PLACES)
        self._clock = clock

    def bucket(self, name: str) -> RateBucket:
        """The bucket for a name. It is full unless somebody has taken from it."""
        tag = (
            int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") | 1
        )
        return RateBucket(self._words, (tag >> 1) % self._sets * 2 * _PLACES, tag, self._clock)


class RateBucket:
    """One bucket. Its rate may differ from call to call: what is in it is time, not tokens."""

    __slots__ = ("_at", "_clock", "_private", "_start", "_tag", "_words")

    def __init__(self, words: memoryview, start: int, tag: int, clock: Callable[[], int]) -> None:
        self._words = words
        self._start = start
        self._tag = tag
        self._clock = clock
        self._at = start
        self._private = 0
        """The bucket's time if there is no place for it in the table; then other processes do not know it."""

    def take(self, count: int, rate: int) -> float:
        """Take `count` tokens of a bucket that gets `rate` of them in a second. Returns how many seconds to
        wait before the next call."""
        now = self._clock()
        at = self._place(now)
        until = self._private if at is None else self._words[at + 1]
        until = max(until, now - BURST_NS) + count * _NANO // rate
        if at is None:
            self._private = until
        else:
            self._words[at + 1] = until
        return max(0, until - now) / _NANO

    def _place(self, now: int) -> int | None:
        """Where the entry is, or is from now on; None if all places belong to others."""
        if self._words[self._at] == self._tag:
            return self._at
        free = None
        for at in range(self._start, self._start + 2 * _PLACES, 2):
            if self._words[at] == self._tag:
                self._at = at
                return at
            if free is None and self._words[at + 1] <= now - BURST_NS:
                free = at
        if free is not None:
            self._words[free] = self._tag
            self._words[free + 1] = max(0, now - BURST_NS)
            self._at = free
        return free
