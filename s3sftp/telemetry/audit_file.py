"""Appends lines to a file that several processes share, without making anybody wait for the disk.

    any thread ── put ──► queue (`audit_queue`) ──► one thread ── lock, append, unlock ──► file

A line is appended whole or not at all: under a lock that all processes take, and what a full disk cut off is
removed again. A file that was renamed or removed, as by logrotate, is opened anew under its name for the
next line; one that was truncated is continued. With a chain (`audit_chain_file`), the lines are linked under
its lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.audit_chain_file import FileChain
from s3sftp.telemetry.audit_queue import LAST_SECONDS, MAX_BYTES, Failed, LineWriter, Recovered

_MODE = 0o600
_BLOCK_BYTES = 16 << 10
_MAX_LINE_BYTES = 16 << 20
_LOCK_SECONDS = 3.0
"""How long others may hold the lock of the file until it counts as a failure."""
_LONGEST_PAUSE_SECONDS = 0.05


class AuditFile(LineWriter):
    """A file of lines. `put` never waits."""

    def __init__(
        self,
        file: Path,
        failed: Failed,
        recovered: Recovered,
        max_bytes: int = MAX_BYTES,
        chain: FileChain | None = None,
        lock_seconds: float = _LOCK_SECONDS,
    ) -> None:
        super().__init__(failed, recovered, max_bytes)
        self._file = file
        self._chain = chain
        self._lock_seconds = lock_seconds
        self._descriptor: int | None = None

    def finish(self, seconds: float = LAST_SECONDS) -> bool:
        is_written = super().finish(seconds)
        if is_written and self._chain is not None:
            self._chain.anchor()
        return is_written

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────

    def _idle_seconds(self) -> float | None:
        return None if self._chain is None else self._chain.seconds_to_anchor()

    def _idle(self) -> None:
        if self._chain is not None:
            self._chain.anchor()

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            self._append(lines)
        except OSError:
            self._close()
            raise

    def _append(self, lines: Sequence[bytes]) -> None:
        with self._chain.alone() if self._chain is not None else nullcontext():
            descriptor = self._opened()
            _lock(descriptor, self._lock_seconds)
            try:
                self._append_to(descriptor, lines)
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _append_to(self, descriptor: int, lines: Sequence[bytes]) -> None:
        size = os.fstat(descriptor).st_size
        if self._chain is None:
            cut_off = b"" if _ends_whole(descriptor, size) else b"?"
            data, last = b"".join(lines), None
        else:
            last_line, cut_off = _ending(descriptor, size)
            data, last = self._chain.link(lines, last_line, cut_off)
        if cut_off:  # the machine stopped while it was written
            data = b"\n" + data
        try:
            _write_all(descriptor, data)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        if self._chain is not None and last is not None:
            self._chain.advance(last)

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


def _lock(descriptor: int, seconds: float) -> None:
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


def _ends_whole(descriptor: int, size: int) -> bool:
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _ending(descriptor: int, size: int) -> tuple[bytes, bytes]:
    """The last whole line of a file, without its line feed, and the beginning of another behind it."""
    data, begin = b"", size
    while begin and data.count(b"\n") < 2 and len(data) < _MAX_LINE_BYTES:
        count = min(_BLOCK_BYTES, begin)
        begin -= count
        data = os.pread(descriptor, count, begin) + data
    whole, _, cut_off = data.rpartition(b"\n")
    return whole.rpartition(b"\n")[2], cut_off


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
