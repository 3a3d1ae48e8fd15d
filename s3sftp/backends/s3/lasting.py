"""What a listing does not tell, and what is believed for as long as what it does tell stays the same.

    of a file         the time and the permissions in its metadata; LIST tells the ETag and the time of the
                      upload, and while both are the same the metadata is too
    of a directory    its marker's time; LIST of its parent says that there is something below a prefix, STAT
                      and a listing of the directory itself see the marker

Without this memory a name would have one time in STAT and another in READDIR, and another again when a fact
of the cache has expired.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from s3sftp.backends.contract import FileInfo

_SAME_SECONDS = 1.0
"""Of our own uploads the time is known by the answer's date, which may be the next second."""


@dataclass(frozen=True, slots=True)
class _Seen:
    info: FileInfo
    uploaded: float = 0.0
    """When the object was written, by the store's clock."""


class Lasting:
    """Attributes by key (no slash at the end): the latest `entries` of them."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def keep_directory(self, key: str, info: FileInfo) -> None:
        """What its marker says; one that has no time has no marker."""
        if info.mtime is None:
            self.forget(key)
        else:
            self._keep(key, _Seen(info))

    def keep_file(self, key: str, info: FileInfo, uploaded: float | None) -> None:
        """What its metadata says, if that is more than LIST does."""
        if uploaded is None or info.version is None or (info.mtime == uploaded and info.mode is None):
            self.forget(key)
        else:
            self._keep(key, _Seen(info, uploaded))

    def completed(self, key: str, listed: FileInfo) -> FileInfo:
        """What LIST says of a name, and what is remembered of the same thing."""
        seen = self._seen.get(key)
        if seen is None or seen.info.is_dir != listed.is_dir:
            return listed
        if listed.is_dir:
            return seen.info
        same = seen.info.version == listed.version and seen.info.size == listed.size
        if not same or listed.mtime is None or abs(listed.mtime - seen.uploaded) > _SAME_SECONDS:
            return listed
        return replace(listed, mtime=seen.info.mtime, mode=seen.info.mode)

    def forget(self, key: str, *, tree: bool = False) -> None:
        """Drop one; with `tree` also all below it."""
        self._seen.pop(key, None)
        if tree:
            for below in [known for known in self._seen if known.startswith(key + "/")]:
                del self._seen[below]

    def _keep(self, key: str, seen: _Seen) -> None:
        self._seen[key] = seen
        self._seen.move_to_end(key)
        while len(self._seen) > self._entries:
            self._seen.popitem(last=False)
