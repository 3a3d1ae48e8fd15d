"""What a server that was killed may have left: files with a reserved name that nobody has locked.

An upload that has a name holds a lock on its file as long as it lives. The kernel drops the lock with the
process, so what can be locked is nobody's.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress

from s3sftp.backends.contract import Place
from s3sftp.backends.local.tree import DirectoryTree, is_reserved
from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.local")


def lock_file(file: int) -> None:
    """Lock a file as long as it is open. Raises BlockingIOError when somebody else has."""
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_if_stale(directory: int, name: bytes) -> bool:
    """Remove a file with a reserved name unless somebody writes it; says whether it did."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        lock_file(file)
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False
    finally:
        os.close(file)
    _log.info("upload.leftover_removed")
    return True


def remove_stale_files(tree: DirectoryTree, place: Place) -> int:
    """Remove them all in one directory; says how many."""
    directory = tree.open_names(place)
    try:
        return _remove_among(directory, map(os.fsencode, os.listdir(directory)))
    finally:
        os.close(directory)


def _remove_among(directory: int, names: Iterable[bytes]) -> int:
    return sum(remove_if_stale(directory, name) for name in names if is_reserved(name))


class StaleUploadSweep:
    """All directories, one at each step, so that a large tree takes a thread only for moments."""

    def __init__(self, tree: DirectoryTree) -> None:
        self._tree = tree
        self._left = [Place()]

    def step(self) -> bool:
        """Do the next directory; False when there is none."""
        if not self._left:
            return False
        with suppress(OSError, StorageError):  # gone, or not ours to read
            self._do(self._left.pop())
        return True

    def _do(self, place: Place) -> None:
        directory = self._tree.open_names(place)
        try:
            with os.scandir(directory) as entries:
                found = [(os.fsencode(each.name), each.is_dir(follow_symlinks=False)) for each in entries]
            _remove_among(directory, (name for name, _ in found))
            self._left += [place.child(name) for name, is_dir in found if is_dir]
        finally:
            os.close(directory)
