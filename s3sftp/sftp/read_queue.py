"""Queues READs that may run but whose answers do not fit into the send buffer yet. Pure.

The queue holds only the small requests, by handle. A handle with running READs leaves a quarter of the buffer
to handles without any, so that a file on a slow storage does not block the other files of its session.
"""

from __future__ import annotations

from collections import Counter, deque

from s3sftp.sftp.request import Request
from s3sftp.sftp.scheduler import ScheduledRequest

Turn = tuple[ScheduledRequest, Request]


class ReadQueue:
    """The READs that wait for room in the send buffer, served round-robin by handle."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Turn]] = {}
        self._running: Counter[int] = Counter()

    def add(self, ticket: ScheduledRequest, request: Request) -> None:
        self._waiting.setdefault(_handle_of(request), deque()).append((ticket, request))

    def next(self, taken: int, limit: int) -> Turn | None:
        """Remove and return the next READ that fits, of any handle. It counts as running until `ended`.

        `taken` and `limit` are the used and the total bytes of the send buffer.
        """
        handle = self._first_that_fits(taken, limit)
        if handle is None:
            return None
        turns = self._waiting.pop(handle)
        turn = turns.popleft()
        self._running[handle] += 1
        if turns:
            self._waiting[handle] = turns  # to the end of the queue
        return turn

    def has_next(self, taken: int, limit: int) -> bool:
        """Whether a READ waits that fits."""
        return self._first_that_fits(taken, limit) is not None

    def _first_that_fits(self, taken: int, limit: int) -> int | None:
        for handle, turns in self._waiting.items():
            room = limit - limit // 4 if self._running[handle] else limit
            if not taken or taken + turns[0][1].answer_bytes <= room:
                return handle
        return None

    def ended(self, request: Request) -> None:
        """Note that a READ has been answered or given up."""
        handle = _handle_of(request)
        if self._running[handle] > 1:
            self._running[handle] -= 1
        else:
            del self._running[handle]


def _handle_of(request: Request) -> int:
    return request.handle.number if request.handle is not None else 0
