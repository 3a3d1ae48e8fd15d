"""Tracks whether the storage answers, and probes it if nothing recent is known.

    a client's request succeeded ─┐
                                  ├─► known for 10 s ─► if health is still asked for: one probe ─► known …
    a probe has ended ────────────┘

While there is traffic no probes are sent. Otherwise there is at most one cheap request every ten seconds, and
none if health has not been asked for within a minute. Probes run ahead of health checks, so that those are
answered at once, and the loss of the storage is noticed within 15 s even if checks are rare.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

FRESH_SECONDS = 10.0
PROBE_SECONDS = 5.0
"""A storage that does not answer a probe within this time counts as failed."""
_ASKED_SECONDS = 60.0
"""Seconds for which probes continue after a health check, because another may follow."""
_NOBODY_SECONDS = 1.0
"""Seconds until the next attempt if no worker could probe."""

Probe = Callable[[], Awaitable[str | None]]
"""Probes the storage with a small request. Returns the failure; an empty text if it succeeded; None if no
worker could probe. Ends by itself after `PROBE_SECONDS`, or slightly more."""


class StorageCheck:
    """The latest knowledge about the storage. Call `close` at the end."""

    def __init__(self, probe: Probe, last_success: Callable[[], float]) -> None:
        """`last_success` returns when a request last succeeded, by the monotonic clock."""
        self._probe = probe
        self._last_success = last_success
        self._began = -math.inf
        """When the latest probe with a result began."""
        self._problem = ""
        """The failure that it found, or empty."""
        self._asked = -math.inf
        self._probing: asyncio.Task[None] | None = None
        self._result = asyncio.Event()

    async def problem(self) -> str:
        """The storage's latest failure; empty if it is well. Waits for a probe only if health had not been
        asked for, so that none was made in time."""
        self._asked = monotonic()
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._keep_probing())
        if self._age() > FRESH_SECONDS + PROBE_SECONDS:
            self._result.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS + 1):
                    await self._result.wait()
        return self.known

    @property
    def known(self) -> str:
        """The same from present knowledge, without a probe."""
        return "" if self._last_success() >= self._began else self._problem

    def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()

    def _age(self) -> float:
        return monotonic() - max(self._last_success(), self._began)

    async def _keep_probing(self) -> None:
        while monotonic() - self._asked < _ASKED_SECONDS:
            if (left := FRESH_SECONDS - self._age()) > 0:
                await asyncio.sleep(left)
                continue
            began = monotonic()
            problem = await self._probe()
            if problem is None:
                await asyncio.sleep(_NOBODY_SECONDS)
                continue
            self._began, self._problem = began, problem
            self._result.set()
