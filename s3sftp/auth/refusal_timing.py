"""How long a refusal takes: the same for every reason, whatever the authenticator did. Pure: no clock.

answers of the authenticator    |‑unknown user   |‑‑‑‑‑wrong password   |‑‑‑‑‑‑‑‑‑‑‑closed account
refusals leave at               ··················|··················|   ← the multiple of the step that
                                                                           the slowest lately came before
"""

from __future__ import annotations

import math

_WINDOW_SECONDS = 600.0


class RefusalTiming:
    """Measures answers, and says when a refusal may leave.

    A slow answer counts for ten minutes at least and twenty at most. Where the authenticator is never slower
    than one step, all refusals take one step; the first slower one moves the others behind it.
    """

    def __init__(self, step: float) -> None:
        """Seconds; 0: refusals leave when they are ready."""
        self._step = step
        self._slowest = 0.0
        self._slowest_before = 0.0
        self._turn = -math.inf

    def took(self, seconds: float, now: float) -> None:
        """An answer, whichever it was, took so long."""
        if now >= self._turn + _WINDOW_SECONDS:
            is_recent = now < self._turn + 2 * _WINDOW_SECONDS
            self._slowest_before = self._slowest if is_recent else 0.0
            self._slowest, self._turn = 0.0, now
        self._slowest = max(self._slowest, seconds)

    @property
    def refusal_seconds(self) -> float:
        """How long a refusal takes, from the question on."""
        if not self._step:
            return 0.0
        slowest = max(self._slowest, self._slowest_before)
        return max(1, math.ceil(slowest / self._step)) * self._step
