"""A directory listing that continues from message to message.

One task of its own iterates over the backend's listing, because a generator that enters a span or a timeout
must leave it in the same task, and each message is answered in another task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from s3sftp.backends.contract import Entry

PAGE_ENTRIES = 500
"""Maximum entries of a page, so that it fits in a frame whatever the names are."""


class PagedListing:
    """One listing in progress. Reads at most one page ahead."""

    def __init__(self, pages: AsyncIterator[Sequence[Entry]]) -> None:
        self._coming: asyncio.Queue[Sequence[Entry] | Exception | None] = asyncio.Queue(1)
        self._task = asyncio.create_task(self._fill(pages))
        self._last_wanted = asyncio.get_running_loop().time()

    @property
    def idle_seconds(self) -> float:
        """Seconds since a page was last requested."""
        return asyncio.get_running_loop().time() - self._last_wanted

    async def next_page(self) -> Sequence[Entry] | None:
        """The next entries; None after the last. Raises what the backend raises."""
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
