"""The times of directories, which a listing of the directory above them does not tell.

A directory's time is that of its marker. STAT and a listing of the directory itself see the marker; a listing
of its parent only says that there is something below a common prefix. Without this memory a directory would
have one time in STAT and another in READDIR, and another again when a fact of the cache has expired. What is
remembered here is believed until this process changes the directory or the store says otherwise.
"""

from __future__ import annotations

from collections import OrderedDict


class DirectoryTimes:
    """Modification times by key (no slash at the end): the latest `entries` of them."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._times: OrderedDict[str, float] = OrderedDict()

    def get(self, key: str) -> float | None:
        return self._times.get(key)

    def keep(self, key: str, mtime: float) -> None:
        self._times[key] = mtime
        self._times.move_to_end(key)
        while len(self._times) > self._entries:
            self._times.popitem(last=False)

    def forget(self, key: str, *, tree: bool = False) -> None:
        """Drop one; with `tree` also those of all directories below it."""
        self._times.pop(key, None)
        if tree:
            for below in [known for known in self._times if known.startswith(key + "/")]:
                del self._times[below]
