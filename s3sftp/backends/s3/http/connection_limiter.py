"""Connections in use: so many at once, whoever made them."""

from __future__ import annotations

import asyncio


class ConnectionPermit:
    """The right to one connection, until it is given back."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free: asyncio.Semaphore | None = free

    def give_back(self) -> None:
        """Once is enough, more do no harm."""
        free, self._free = self._free, None
        if free is not None:
            free.release()

    async def __aenter__(self) -> ConnectionPermit:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_back()


class ConnectionLimiter:
    """Hands out the permits; who comes when there is none waits as long as the caller lets it."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)

    async def take(self) -> ConnectionPermit:
        await self._free.acquire()
        return ConnectionPermit(self._free)
