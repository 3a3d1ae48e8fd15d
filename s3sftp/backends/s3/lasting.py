"""What a listing does not tell, and what is believed for as long as what it does tell stays the same.

    of a file         the time and the permissions in its metadata; LIST tells the ETag and the second of the
                      upload, and while both are the same the metadata is too
    of a directory    its marker's time; LIST of its parent says that there is something below a prefix, STAT
                      and a listing of the directory itself see the marker

Without this memory a name would have one time in STAT and another in READDIR, and another again when a fact
of the cache has expired.

A copy onto itself changes a file's metadata and not always its ETag, and LIST cannot tell two versions of the
same second apart. So an entry is settled once the store has told it after that second: every later version
has a later time. One that is not settled is shown by listings alone, and only while no other worker of the
server has changed the name; STAT asks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from s3sftp.backends.contract import FileInfo

_SAME_SECONDS = 1.0
"""Of our own uploads the time is known by the answer's date, which may be the next second."""
_SETTLED_SECONDS = 2.0
"""An answer that is dated so much after the upload was given when the second of the upload was over."""


@dataclass(frozen=True, slots=True)
class _Seen:
    info: FileInfo
    uploaded: float = 0.0
    """When the object was written, by the store's clock."""
    generation: int = 0
    """Of the key at the other workers, from before the store was asked."""
    settled: bool = False
    """Whether no other version can have this ETag and this second of upload."""

    def may_be(self, listed: FileInfo) -> bool:
        """Whether a line of a listing can be of the same version."""
        if (self.info.version, self.info.size) != (listed.version, listed.size) or listed.mtime is None:
            return False
        if self.settled:
            return int(listed.mtime) == int(self.uploaded)
        return abs(listed.mtime - self.uploaded) <= _SAME_SECONDS


class Lasting:
    """Attributes by key (no slash at the end): the latest `entries` of them.

    `generation_of` tells a number that grows whenever another worker may have changed what the name is.
    """

    def __init__(self, entries: int, generation_of: Callable[[str], int] = lambda _: 0) -> None:
        self._entries = entries
        self._generation_of = generation_of
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def keep_directory(self, key: str, info: FileInfo) -> None:
        """What its marker says; one that has no time has no marker."""
        if info.mtime is None:
            self.forget(key)
        else:
            self._keep(key, _Seen(info))

    def keep_file(
        self,
        key: str,
        info: FileInfo,
        uploaded: float | None,
        generation: int = 0,
        told: float | None = None,
    ) -> None:
        """What its metadata says, if that is more than LIST does.

        `generation` is from before the request; `told` is when the store told of it, by its own clock, None
        for what this process has written.
        """
        if uploaded is None or info.version is None or (info.mtime == uploaded and info.mode is None):
            self.forget(key)
        else:
            settled = told is not None and told - uploaded >= _SETTLED_SECONDS
            self._keep(key, _Seen(info, uploaded, generation, settled))

    def completed(self, key: str, listed: FileInfo) -> tuple[FileInfo, bool]:
        """What LIST says of a name, and what is remembered of the same thing; and whether STAT would say so
        too, as far as is known. Of directories it never is: nothing in LIST tells one marker from another."""
        seen = self._seen.get(key)
        if seen is None or seen.info.is_dir != listed.is_dir:
            return listed, not listed.is_dir
        if listed.is_dir:
            return seen.info, False
        if not seen.may_be(listed):
            return listed, True
        if not seen.settled and seen.generation != self._generation_of(key):
            return listed, False
        return replace(listed, mtime=seen.info.mtime, mode=seen.info.mode), seen.settled

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
