"""How many bytes may pass now, and when the next ones may. Pure: the caller brings the time."""

from __future__ import annotations


class TokenBucket:
    """A rate with a small burst. `bytes_per_second` 0 is no limit at all."""

    def __init__(self, bytes_per_second: float, burst_bytes: int, now: float) -> None:
        self._rate = bytes_per_second
        self._burst = burst_bytes
        self._tokens = float(burst_bytes)
        self._at = now

    def allowance(self, now: float, most: int) -> int:
        """How many bytes may pass now, `most` at most; 0 when it is too early for a piece worth a call."""
        if not self._rate:
            return most
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return min(most, int(self._tokens)) if self._tokens >= self._burst / 4 else 0

    def take(self, amount: int) -> None:
        """Say that bytes have passed."""
        if self._rate:
            self._tokens -= amount

    def wait(self) -> float:
        """Seconds until half of the burst may pass."""
        return max(0.001, (self._burst / 2 - self._tokens) / self._rate) if self._rate else 0.0
