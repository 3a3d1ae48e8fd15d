"""Limits the connections to the store that are in use, over both HTTP clients."""

from __future__ import annotations

import asyncio


class ConnectionPermit:
    """The right to use one connection, until it is given back."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free: asyncio.Semaphore | None = free

    def give_back(self) -> None:
        """Release the permit. May be called more than once."""
        free, self._free = self._free, None
        if free is not None:
            free.release()

    async def __aenter__(self) -> ConnectionPermit:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_back()


class ConnectionLimiter:
    """Issues permits. A caller waits for a free one; its own deadline bounds the wait."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)

    async def take(self) -> ConnectionPermit:
        await self._free.acquire()
        return ConnectionPermit(self._free)
