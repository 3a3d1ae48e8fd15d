"""What one session has stored a moment ago, so that a client without further rights can finish its upload.

Clients upload under a temporary name and rename, set the time of what they have sent, and look whether it
arrived. Whoever may only write may do that with files that the same session has stored, as long as they are
what it stored.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from s3sftp.backends import FileInfo, Place
from s3sftp.fs.paths import VirtualPath

_MAX_FILES = 1000
"""Files of one session that are remembered, the latest."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file as the session has stored it."""

    path: VirtualPath
    """Its path, which is another one than the client's if its name was taken."""
    place: Place
    info: FileInfo


class OwnFiles:
    """The files of one session, by the path that its client gave them."""

    def __init__(self) -> None:
        self._files: OrderedDict[VirtualPath, OwnFile] = OrderedDict()

    def stored(self, named: VirtualPath, file: OwnFile, *, sees: bool) -> None:
        """Note a file that was stored, or renamed, under a name that the client gave. `sees`: the user may
        learn what exists; otherwise the file has no other name, which would tell that this one was taken."""
        for path in {named, file.path} if sees else {named}:
            self._files[path] = file
            self._files.move_to_end(path)
        while len(self._files) > _MAX_FILES:
            self._files.popitem(last=False)

    def at(self, path: VirtualPath) -> OwnFile | None:
        """The file that this session has stored under a name, whatever is there now."""
        return self._files.get(path)

    def forget(self, file: OwnFile) -> None:
        """Forget a file under all its names."""
        for path in [path for path, each in self._files.items() if each is file]:
            del self._files[path]
