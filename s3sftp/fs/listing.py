"""Lists an open directory, page by page: names with attributes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from s3sftp.backends import Entry, FileInfo
from s3sftp.errors import NotFound


class OpenDirectory:
    """An open directory. Yields `.` and `..`, the storage's entries, and what the
    configuration puts there."""

    def __init__(
        self,
        pages: AsyncIterator[Sequence[Entry]],
        fixed: Mapping[bytes, FileInfo | None],
        *,
        lenient: bool,
        hides: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`fixed`: what the configuration puts into it, which covers stored entries of the same name: fixed
        directories and mounted files, None for one that is missing. `lenient`: the directory always exists,
        so it is empty if the storage has nothing there. `hides`: whether a stored name is hidden."""
        self._pages = pages
        self._fixed = dict(fixed)
        self._lenient = lenient
        self._hides = hides
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
        return [Entry(name, info) for name, info in sorted(self._fixed.items()) if info is not None] or None

    def _shown(self, page: Sequence[Entry]) -> list[Entry]:
        shown = []
        for entry in page:
            if entry.name in self._fixed:
                info = self._fixed[entry.name]
                if info is None or not info.is_dir:
                    continue  # the mounted file comes at the end
                del self._fixed[entry.name]
                shown.append(Entry(entry.name, FileInfo.directory(entry.info.mtime)))
            elif entry.name not in (b".", b"..") and not (self._hides and self._hides(entry.name)):
                shown.append(entry)
        return shown
