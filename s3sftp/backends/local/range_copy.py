"""Copies bytes from file to file inside the kernel, sharing blocks on disk where the file system can."""

from __future__ import annotations

import errno
import os

from s3sftp.errors import Changed

PIECE_BYTES = 64 << 20
"""Maximum bytes of one call in a thread, which a cancellation has to wait for."""

_READ_BYTES = 1 << 20
_NOT_SUPPORTED = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


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
