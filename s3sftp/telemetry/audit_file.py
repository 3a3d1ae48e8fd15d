"""Appends lines to a file that several processes share, without making anybody wait for the disk.

    any thread ── put ──► queue, bounded in bytes ──► one thread ── lock, append, unlock ──► file
                    └── full: dropped and counted       └── fails: kept, and tried again every second

A line is appended whole or not at all: under a lock that all processes take, and what a full disk cut off is
removed again. A file that was renamed or removed, as by logrotate, is opened anew under its name for the
next line; one that was truncated is continued.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from s3sftp.errors import ConfigurationError

MAX_BYTES = 8 << 20
"""Bytes of lines that wait for the disk, in each process."""
_BATCH_BYTES = 64 << 10
_AGAIN_SECONDS = 1.0
_LAST_SECONDS = 2.0
"""Seconds that the last lines may take at the end of the process."""
_MODE = 0o600

Failed = Callable[[OSError], None]
"""Called in the thread, at each attempt that failed."""
Recovered = Callable[[int], None]
"""Called in the thread when lines are written again, with the number of those that were lost."""


class AuditFile:
    """A file of lines. `put` never waits."""

    def __init__(self, file: Path, failed: Failed, recovered: Recovered, max_bytes: int = MAX_BYTES) -> None:
        self._file = file
        self._failed = failed
        self._recovered = recovered
        self._max_bytes = max_bytes
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._descriptor: int | None = None
        self._putting = threading.RLock()  # a destructor may log while its thread holds it
        self._put_bytes = 0
        self._done_bytes = 0
        self._lost = 0
        self._told_lost = 0
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Start the thread that writes, and write the last lines when the process ends."""
        self._thread.start()
        atexit.register(self.finish)

    def put(self, line: bytes) -> None:
        """Queue a line with its line feed. Dropped and counted if too many wait."""
        with self._putting:
            if self._put_bytes - self._done_bytes + len(line) > self._max_bytes:
                self._lost += 1
                return
            self._put_bytes += len(line)
            self._lines.put(line)

    def finish(self, seconds: float = _LAST_SECONDS) -> bool:
        """Wait until everything is written, for at most `seconds`. Returns whether it was."""
        deadline = time.monotonic() + seconds
        while self._done_bytes != self._put_bytes and self._thread.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            has_failed = False
            while True:
                try:
                    self._append(batch)
                    break
                except OSError as error:
                    has_failed = True
                    self._close()
                    self._failed(error)
                    time.sleep(_AGAIN_SECONDS)
            self._done_bytes += len(batch)
            if has_failed or self._lost > self._told_lost:
                lost, self._told_lost = self._lost - self._told_lost, self._lost
                self._recovered(lost)

    def _next_batch(self) -> bytes:
        """The next lines, as many as wait."""
        lines = [self._lines.get()]
        size = len(lines[0])
        with suppress(Empty):
            while size < _BATCH_BYTES:
                lines.append(self._lines.get_nowait())
                size += len(lines[-1])
        return b"".join(lines)

    def _append(self, data: bytes) -> None:
        descriptor = self._opened()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            size = os.fstat(descriptor).st_size
            if (
                size and os.pread(descriptor, 1, size - 1) != b"\n"
            ):  # the machine stopped while it was written
                data = b"\n" + data
            try:
                _write_all(descriptor, data)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _opened(self) -> int:
        """The descriptor of the file that has the name now."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self._close()
        if self._descriptor is None:
            self._descriptor = open_to_append(self._file)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._file)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


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


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
