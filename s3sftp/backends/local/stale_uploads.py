"""Removes the unfinished uploads of a server that was killed: files with a reserved name and no lock.

An upload that has a name holds a lock on its file as long as it lives. The kernel releases the lock when the
process ends, so a file that can be locked has no owner.
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
    """Lock a file for as long as it is open.

    Raises BlockingIOError: if another process holds the lock.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_if_stale(directory: int, name: bytes) -> bool:
    """Remove a file with a reserved name unless its lock is held. Returns whether it was removed."""
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
    """Remove all stale files in one directory. Returns their number."""
    directory = tree.open_names(place)
    try:
        return _remove_among(directory, map(os.fsencode, os.listdir(directory)))
    finally:
        os.close(directory)


def _remove_among(directory: int, names: Iterable[bytes]) -> int:
    return sum(remove_if_stale(directory, name) for name in names if is_reserved(name))


class StaleUploadSweep:
    """Visits all directories, one at each step, so that a large tree occupies a thread only for moments."""

    def __init__(self, tree: DirectoryTree) -> None:
        self._tree = tree
        self._left = [Place()]

    def step(self) -> bool:
        """Clean the next directory. Returns False if there is none."""
        if not self._left:
            return False
        with suppress(OSError, StorageError):  # it is gone, or we may not read it
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
