"""Computes when to send a refusal, so that its timing does not reveal the reason. Pure: no clock.

answers of the authenticator    |‑unknown user   |‑‑‑‑‑wrong password   |‑‑‑‑‑‑‑‑‑‑‑closed account
refusals are sent at            ··················|··················|   ← the smallest multiple of the step
                                                                           that covers recent slow answers
"""

from __future__ import annotations

import math

_WINDOW_SECONDS = 600.0


class RefusalTiming:
    """Records how long answers take, and computes when a refusal may be sent.

    A slow answer counts for at least ten and at most twenty minutes. While the authenticator is never slower
    than one step, all refusals take one step; the first slower answer delays all later refusals.
    """

    def __init__(self, step: float) -> None:
        """`step` is in seconds; 0: refusals are sent as soon as they are ready."""
        self._step = step
        self._slowest = 0.0
        self._slowest_before = 0.0
        self._turn = -math.inf

    def took(self, seconds: float, now: float) -> None:
        """Record the duration of an answer, whatever its result."""
        if now >= self._turn + _WINDOW_SECONDS:
            is_recent = now < self._turn + 2 * _WINDOW_SECONDS
            self._slowest_before = self._slowest if is_recent else 0.0
            self._slowest, self._turn = 0.0, now
        self._slowest = max(self._slowest, seconds)

    @property
    def refusal_seconds(self) -> float:
        """How long a refusal takes in all, in seconds from the request."""
        if not self._step:
            return 0.0
        slowest = max(self._slowest, self._slowest_before)
        return max(1, math.ceil(slowest / self._step)) * self._step
