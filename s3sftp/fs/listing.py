"""Lists an open directory, page by page: names with attributes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from s3sftp.backends import Entry, FileInfo
from s3sftp.errors import NotFound


class OpenDirectory:
    """An open directory. Yields `.` and `..`, the storage's entries, and fixed directories not among them."""

    def __init__(
        self, pages: AsyncIterator[Sequence[Entry]], fixed: Sequence[bytes], *, lenient: bool
    ) -> None:
        """`fixed`: the names of fixed directories in it. `lenient`: the directory always exists, so it is
        empty if the storage has nothing there."""
        self._pages = pages
        self._fixed = set(fixed)
        self._lenient = lenient
        self._first: Sequence[Entry] | None = None
        self._ended = False
        self._failure: Exception | None = None

    async def start(self) -> None:
        """Fetch the first page, so that a missing directory fails now.

        Raises NotFound, NotADirectory, …: as the backend's `list_dir`.
        """
        page = await self._fetch()
        dots = [Entry(b".", FileInfo.directory()), Entry(b"..", FileInfo.directory())]
        self._first = [*dots, *(page or ())]

    async def next_page(self) -> Sequence[Entry] | None:
        """The next entries, or None at the end. Holds one page in memory."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._fetch()

    async def close(self) -> None:
        """Stop listing, also before the end."""
        self._ended = True
        close = getattr(self._pages, "aclose", None)
        if close is not None:
            await close()

    async def _fetch(self) -> Sequence[Entry] | None:
        if self._failure is not None:
            raise self._failure  # a failed listing must not look complete
        if self._ended:
            return None
        try:
            # not anext() with a default: CPython 3.11 crashes when __anext__ itself raises
            page: Sequence[Entry] | None = await anext(self._pages)
        except StopAsyncIteration:
            page = None
        except NotFound as error:
            if not self._lenient:
                self._failure = error
                raise
            page = None
        except Exception as error:
            self._failure = error
            raise
        if page is not None:
            self._lenient = False  # the directory exists: a later NotFound is an error
            return self._shown(page)
        self._ended = True
        return [Entry(name, FileInfo.directory()) for name in sorted(self._fixed)] or None

    def _shown(self, page: Sequence[Entry]) -> list[Entry]:
        shown = []
        for entry in page:
            if entry.name in self._fixed:
                self._fixed.discard(entry.name)
                entry = Entry(entry.name, FileInfo.directory(entry.info.mtime))
            if entry.name not in (b".", b".."):
                shown.append(entry)
        return shown
