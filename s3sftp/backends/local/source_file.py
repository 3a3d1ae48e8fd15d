"""A file that is open for reading, and copies of its bytes to another file.

Every read checks that the file is still the same version. Copies stay inside the kernel, and share blocks on
disk where the file system can.
"""

from __future__ import annotations

import errno
import os

from s3sftp.backends.contract import FileInfo, Place
from s3sftp.backends.local.file_info import info_of, require_file, version_of
from s3sftp.backends.local.tree import QUIETLY, DirectoryTree
from s3sftp.errors import Changed, IsADirectory, NotFound

PIECE_BYTES = 64 << 20
"""Maximum bytes of one call in a thread, which a cancellation has to wait for."""

_READ_BYTES = 1 << 20
_NOT_SUPPORTED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class SourceFile:
    """One version of a file, open for reading. Called from one thread at a time."""

    def __init__(self, tree: DirectoryTree, place: Place) -> None:
        self._tree = tree
        self._place = place
        self.descriptor = -1
        self._version = ""

    def open(self, version: str | None = None) -> FileInfo:
        """Open the file.

        Raises NotFound: if there is no such file.
        Raises IsADirectory: if it is a directory.
        Raises PermissionDenied: if it is not a regular file.
        Raises Changed: if it is not at `version`.
        """
        require_file(self._tree.stat(self._place))  # a device must not even be opened
        self.descriptor = self._tree.open(self._place, QUIETLY)
        status = os.fstat(self.descriptor)
        require_file(status)
        self._version = version_of(status)
        if version not in (None, self._version):
            raise Changed
        return info_of(status)

    def open_base(self, version: str | None) -> None:
        """Open a file that must still be at `version`.

        Raises Changed: if it is not, or is gone.
        """
        try:
            self.open(version)
        except (FileNotFoundError, NotFound, IsADirectory) as error:
            raise Changed from error

    def read(self, start: int, count: int) -> bytes:
        """Return exactly `count` bytes of the version that was opened.

        Raises Changed: if the file has changed since.
        """
        data = os.pread(self.descriptor, count, start)
        while len(data) < count:
            more = os.pread(self.descriptor, count - len(data), start + len(data))
            if not more:
                raise Changed  # it was truncated in place
            data += more
        self.must_be_unchanged()
        return data

    def must_be_unchanged(self) -> None:
        """Raises Changed: if the file was written to, replaced or removed since it was opened."""
        if version_of(os.fstat(self.descriptor)) != self._version:
            raise Changed

    def close(self) -> None:
        """Close the file. May be called twice, and before `open`."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def copy_range(source: int, start: int, count: int, target: int, at: int) -> None:
    """Copy exactly `count` bytes.

    Raises Changed: if the source is shorter than that.
    """
    while count:
        copied = _copy_some(source, start, count, target, at)
        if not copied:
            raise Changed
        start, at, count = start + copied, at + copied, count - copied


def _copy_some(source: int, start: int, count: int, target: int, at: int) -> int:
    try:
        return os.copy_file_range(source, target, count, start, at)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    return os.pwrite(target, os.pread(source, min(count, _READ_BYTES), start), at)
