"""What a server that was killed may have left: files with a reserved name that nobody has locked.

An upload that has a name holds a lock on its file as long as it lives. The kernel drops the lock with the
process, so what can be locked is nobody's.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from s3sftp.backends.contract import Place
from s3sftp.backends.local.tree import Tree, is_reserved
from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.local")


def hold(file: int) -> None:
    """Lock a file as long as it is open. Raises BlockingIOError when somebody else has."""
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_if_stale(directory: int, name: bytes) -> bool:
    """Remove a file with a reserved name unless somebody writes it; says whether it did."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        hold(file)
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False
    finally:
        os.close(file)
    _log.info("removed what an unfinished upload left")
    return True


def remove_stale_files(tree: Tree, place: Place) -> int:
    """Remove them all in one directory; says how many."""
    directory = tree.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        readable = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        try:
            names = [os.fsencode(name) for name in os.listdir(readable)]
        finally:
            os.close(readable)
        return sum(remove_if_stale(directory, name) for name in names if is_reserved(name))
    finally:
        os.close(directory)


class Sweep:
    """All directories, one at each step, so that a large tree takes a thread only for moments."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._left = [Place()]

    def step(self) -> bool:
        """Do the next directory; False when there is none."""
        if not self._left:
            return False
        place = self._left.pop()
        with suppress(OSError, StorageError):  # gone, or not ours to read
            remove_stale_files(self._tree, place)
            self._left += self._below(place)
        return True

    def _below(self, place: Place) -> list[Place]:
        directory = self._tree.open(place, os.O_PATH | os.O_DIRECTORY)
        try:
            readable = os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            with os.scandir(readable) as entries:
                return [
                    place.child(os.fsencode(entry.name))
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                ]
        finally:
            os.close(readable)
