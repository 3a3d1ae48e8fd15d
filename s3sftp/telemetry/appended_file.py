"""Appends whole lines to a file that several processes share. Blocking.

A line is appended whole or not at all: under a lock that all processes take, and what a full disk cut off is
removed again. A file that was renamed or removed, as by logrotate, is opened anew under its name for the
next line; one that was truncated is continued.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3sftp.errors import ConfigurationError

_MODE = 0o600
_LONGEST_PAUSE_SECONDS = 0.05


class AppendedFile:
    """A file that lines are appended to. One thread at a time may use it."""

    def __init__(self, file: Path, lock_seconds: float) -> None:
        """`lock_seconds`: how long others may hold the lock of the file until it counts as a failure."""
        self._file = file
        self._lock_seconds = lock_seconds
        self._descriptor: int | None = None

    @contextmanager
    def locked(self) -> Iterator[int]:
        """The descriptor of the file that has the name now, while nobody else appends to it.

        Raises OSError: if it cannot be opened, or somebody else holds its lock for too long.
        """
        descriptor = self._opened()
        lock(descriptor, self._lock_seconds)
        try:
            yield descriptor
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self.close()
        if self._descriptor is None:
            self._descriptor = open_to_append(self._file)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._file)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))


def open_to_append(file: Path) -> int:
    """Open a regular file, which is made for its owner alone if it is missing.

    Raises OSError: if that is not possible.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(file, flags, _MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(file))
    return descriptor


def require_appendable(file: Path, option: str) -> None:
    """Make sure at the start that the file can be written. Blocks.

    Raises ConfigurationError: if it cannot.
    """
    try:
        os.close(open_to_append(file))
    except OSError as error:
        raise ConfigurationError(
            [f"{option} = {str(file)!r}: cannot write it: {error.strerror or error}"]
        ) from None


def lock(descriptor: int, seconds: float) -> None:
    """Lock the file. Whoever may read it can keep its lock, so this does not wait for ever.

    Raises OSError: if somebody else holds it for longer.
    """
    deadline, pause = time.monotonic() + seconds, 0.001
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise OSError(errno.EAGAIN, "another process keeps the lock of the file") from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def ends_whole(descriptor: int, size: int) -> bool:
    """Whether the last line of a file has its line feed."""
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def append_whole(descriptor: int, size: int, data: bytes) -> None:
    """Append to a locked file of this size.

    Raises OSError: if not everything could be written; then the file is as before.
    """
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
