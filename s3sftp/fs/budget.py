"""One byte budget for the file contents of all sessions of the process.

Uploads wait their turn for room; read-ahead takes room only when there is some. So that uploads that each
hold part of a chunk never wait for each other for ever, the oldest waiter of a full budget gets a lease: it
may exceed the budget until its chunk is on its way. Peak: the budget plus one chunk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from s3sftp.errors import Busy

_STALE_LEASE_SECONDS = 10.0


@dataclass(slots=True)
class _Waiter:
    owner: object
    count: int
    turn: asyncio.Future[None]


class Budget:
    """Counts bytes held; `used` never exceeds `total` by more than one lease."""

    def __init__(self, total: int, wait_seconds: float = 60.0) -> None:
        self.total = total
        self.used = 0
        self.peak = 0
        self._wait_seconds = wait_seconds
        self._waiters: deque[_Waiter] = deque()
        self._lease: object | None = None
        self._lease_used_at = 0.0

    def try_take(self, count: int, owner: object | None = None) -> bool:
        """Take room if there is some now and nobody waits for it."""
        leased = owner is not None and owner is self._lease
        if not leased and (self._waiters or self.used + count > self.total):
            return False
        if leased:
            self._lease_used_at = asyncio.get_running_loop().time()
        self._add(count)
        return True

    def force(self, count: int) -> None:
        """Take room that is bounded elsewhere, such as what a session's READs asked for."""
        self._add(count)

    async def take(self, count: int, owner: object) -> None:
        """Wait in turn for room. Raises Busy after `wait_seconds`."""
        if self.try_take(count, owner):
            return
        loop = asyncio.get_running_loop()
        waiter = _Waiter(owner, count, loop.create_future())
        self._waiters.append(waiter)
        self._serve()
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not waiter.turn.done():
                    await asyncio.wait([waiter.turn], timeout=_STALE_LEASE_SECONDS / 2)
                    self._end_stale_lease(loop.time())
        except TimeoutError:
            raise Busy("server is busy: too many uploads at once, try again later") from None
        finally:
            self._leave(waiter)

    def give(self, count: int) -> None:
        """Give room back."""
        self.used -= count
        self._serve()

    def end_lease(self, owner: object) -> None:
        """The owner's chunk is on its way, or it has ended: someone else may exceed the budget."""
        if self._lease is owner:
            self._lease = None
            self._serve()

    def _add(self, count: int) -> None:
        self.used += count
        self.peak = max(self.peak, self.used)

    def _serve(self) -> None:
        while self._waiters:
            head = self._waiters[0]
            if self.used + head.count > self.total:
                if self._lease is not None and self._lease is not head.owner:
                    return
                self._lease = head.owner
                self._lease_used_at = head.turn.get_loop().time()
            self._waiters.popleft()
            self._add(head.count)
            head.turn.set_result(None)

    def _leave(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._serve()
        elif waiter.turn.done() and (task := asyncio.current_task()) and task.cancelling():
            self.give(waiter.count)

    def _end_stale_lease(self, now: float) -> None:
        """A client that stopped sending must not hold up the others."""
        if self._lease is not None and now - self._lease_used_at > _STALE_LEASE_SECONDS:
            self._lease = None
            self._serve()
