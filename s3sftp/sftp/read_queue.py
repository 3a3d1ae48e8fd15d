"""READs whose turn has come and for whose answers there is no room yet. Pure.

Only the small requests wait, by handle. A handle that has READs running leaves a quarter of the room to those
that have none, so that a file whose storage is slow does not hold up the others of its session.
"""

from __future__ import annotations

from collections import Counter, deque

from s3sftp.sftp.request import Request
from s3sftp.sftp.scheduler import ScheduledRequest

Turn = tuple[ScheduledRequest, Request]


class ReadQueue:
    """Who reads next."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Turn]] = {}
        self._running: Counter[int] = Counter()

    def add(self, ticket: ScheduledRequest, request: Request) -> None:
        self._waiting.setdefault(_handle_of(request), deque()).append((ticket, request))

    def next(self, taken: int, limit: int) -> Turn | None:
        """The next READ that fits, of any handle; it counts as running until `ended`."""
        handle = self._first_that_fits(taken, limit)
        if handle is None:
            return None
        turns = self._waiting.pop(handle)
        turn = turns.popleft()
        self._running[handle] += 1
        if turns:
            self._waiting[handle] = turns  # to the end of the line
        return turn

    def has_next(self, taken: int, limit: int) -> bool:
        """Whether there is one that fits."""
        return self._first_that_fits(taken, limit) is not None

    def _first_that_fits(self, taken: int, limit: int) -> int | None:
        for handle, turns in self._waiting.items():
            room = limit - limit // 4 if self._running[handle] else limit
            if not taken or taken + turns[0][1].answer_bytes <= room:
                return handle
        return None

    def ended(self, request: Request) -> None:
        """A READ is answered, or never will be."""
        handle = _handle_of(request)
        if self._running[handle] > 1:
            self._running[handle] -= 1
        else:
            del self._running[handle]


def _handle_of(request: Request) -> int:
    return request.handle.number if request.handle is not None else 0
