"""Lists a directory page by page from the kernel's directory stream, which stays open between pages."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import islice

from s3sftp.backends.contract import Entry, Place
from s3sftp.backends.local.file_info import info_of, require_directory
from s3sftp.backends.local.stale_uploads import remove_if_stale
from s3sftp.backends.local.tree import DirectoryTree, is_reserved
from s3sftp.errors import StorageError

PAGE_ENTRIES = 500


class DirectoryScan:
    """One listing in progress. Called from one thread at a time."""

    def __init__(self, tree: DirectoryTree, place: Place) -> None:
        self._tree = tree
        self._place = place
        self._directory = -1
        self._entries: Iterator[os.DirEntry[str]] | None = None

    def next_page(self) -> Sequence[Entry] | None:
        """The next entries that are served; None at the end.

        Raises NotFound: if there is no such directory.
        Raises NotADirectory: if it is a file.
        """
        if self._entries is None:
            self._entries = self._open()
        while names := [os.fsencode(each.name) for each in islice(self._entries, PAGE_ENTRIES)]:
            if page := [entry for name in names if (entry := self._entry(name)) is not None]:
                return page
        return None

    def close(self) -> None:
        """Close the stream. May be called twice, and before the first page."""
        close = getattr(self._entries, "close", None)
        if close is not None:
            close()
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _open(self) -> Iterator[os.DirEntry[str]]:
        require_directory(self._tree.stat(self._place))
        self._directory = self._tree.open_names(self._place)
        return os.scandir(self._directory)

    def _entry(self, name: bytes) -> Entry | None:
        """The entry of a name; None if it is not served, or has been removed since it was listed."""
        if is_reserved(name):
            remove_if_stale(self._directory, name)
            return None
        try:
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                status = self._tree.stat(self._place.child(name))
            return Entry(name, info_of(status))
        except (OSError, StorageError):
            return None
