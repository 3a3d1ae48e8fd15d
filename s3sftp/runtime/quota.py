"""Bounds a resource that is used up: whoever would exceed the bound is refused at once, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable


class ByteQuota:
    """The bytes that all holders may use together, of memory or of a disk."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self.reclaim: Callable[[], None] = lambda: None
        """Called when the quota is used up, to free what is not needed."""

    def try_acquire(self, count: int) -> bool:
        """Use `count` more bytes. Returns False, and changes nothing, if that exceeds the quota."""
        if self.used + count > self.total:
            self.reclaim()
            if self.used + count > self.total:
                return False
        self.used += count
        return True

    def release(self, count: int) -> None:
        """Give back `count` bytes."""
        self.used -= count
