"""Why a delivery failed, where another attempt may succeed; `EventRefused` is for those where none will."""

from __future__ import annotations


class DeliveryFailed(Exception):
    """The sink did not accept an event; another attempt may succeed. The text is for the operator."""

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
        """Seconds that the destination asked to wait; None if it did not."""
