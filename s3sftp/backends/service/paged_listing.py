"""A listing that goes on from message to message.

It is taken from the backend by one task of its own: a generator that enters a span or a time limit must leave
it in the task that entered it, and each message is answered in another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from s3sftp.backends.contract import Entry

PAGE_ENTRIES = 500
"""The most that one page has, so that it fits in a frame whatever the names are."""


class PagedListing:
    """Reads one page ahead, no more."""

    def __init__(self, pages: AsyncIterator[Sequence[Entry]]) -> None:
        self._coming: asyncio.Queue[Sequence[Entry] | Exception | None] = asyncio.Queue(1)
        self._task = asyncio.create_task(self._fill(pages))
        self._last_wanted = asyncio.get_running_loop().time()

    @property
    def idle_seconds(self) -> float:
        """How long nobody has asked for a page."""
        return asyncio.get_running_loop().time() - self._last_wanted

    async def next_page(self) -> Sequence[Entry] | None:
        """Entries; None after the last. Raises what the backend raises."""
        self._last_wanted = asyncio.get_running_loop().time()
        page = await self._coming.get()
        if isinstance(page, Exception):
            raise page
        return page

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _fill(self, pages: AsyncIterator[Sequence[Entry]]) -> None:
        end: Exception | None = None
        try:
            async for page in pages:
                for at in range(0, len(page), PAGE_ENTRIES):
                    await self._coming.put(page[at : at + PAGE_ENTRIES])
        except Exception as error:
            end = error
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()
        await self._coming.put(end)
