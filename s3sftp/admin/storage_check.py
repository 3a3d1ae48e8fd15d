"""Whether the storage answers, as far as it is known, and looking again when that is too long ago.

    a request of a client succeeded ─┐
                                     ├─► known for 10 s ─► somebody wants to know: one look ─► known …
    a look has ended ────────────────┘

With traffic nothing is asked for it; without, one cheap request every ten seconds at most, and none when
nobody has asked about the storage for a minute. Looks are made ahead of the questions, so that those are
answered at once and a storage that goes away is known within 15 s, also by whoever asks rarely.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

FRESH_SECONDS = 10.0
LOOK_SECONDS = 5.0
"""A storage that does not answer for so long cannot be worked with."""
_ASKED_SECONDS = 60.0
"""For so long after a question there may be another one."""
_NOBODY_SECONDS = 1.0
"""When to try again to find somebody who can look."""

Look = Callable[[], Awaitable[str | None]]
"""Asks the storage for something small. What it said, if that was no; empty when it was yes; None when there
was nobody who could ask it. Ends by itself, after `LOOK_SECONDS` or a little more."""


class StorageCheck:
    """What is known of the storage. `close` it at the end."""

    def __init__(self, look: Look, last_success: Callable[[], float]) -> None:
        """`last_success`: when any request last did what it should, by the monotonic clock."""
        self._look = look
        self._last_success = last_success
        self._began = -math.inf
        """When the latest look began that had a result."""
        self._said = ""
        """What it was told."""
        self._asked = -math.inf
        self._looking: asyncio.Task[None] | None = None
        self._result = asyncio.Event()

    async def trouble(self) -> str:
        """What the storage said last, if that was no; empty when it is well. Waits for a look only if none
        was made in time, because nobody had asked."""
        self._asked = monotonic()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        if self._age() > FRESH_SECONDS + LOOK_SECONDS:
            self._result.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS + 1):
                    await self._result.wait()
        return self.known

    @property
    def known(self) -> str:
        """The same as far as it is known now, without asking."""
        return "" if self._last_success() >= self._began else self._said

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    def _age(self) -> float:
        return monotonic() - max(self._last_success(), self._began)

    async def _keep_looking(self) -> None:
        while monotonic() - self._asked < _ASKED_SECONDS:
            if (left := FRESH_SECONDS - self._age()) > 0:
                await asyncio.sleep(left)
                continue
            began = monotonic()
            said = await self._look()
            if said is None:
                await asyncio.sleep(_NOBODY_SECONDS)
                continue
            self._began, self._said = began, said
            self._result.set()
