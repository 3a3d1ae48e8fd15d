"""A text stream on standard error that never blocks its writer, even if nothing reads the pipe.

    any thread ── write ──► queue of whole lines, bounded in bytes ──► one thread ── os.write ──► descriptor
                     └── full: dropped and counted                        └── reports the number afterwards

A pipe that is not read takes 64 KiB and then blocks for ever, and a blocked event loop serves no client.
O_NONBLOCK on the descriptor is no solution, because other processes share it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import io
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TextIO, cast

MAX_BYTES = 1 << 20
"""Maximum bytes that wait to be written, in each process."""
_AT_ONCE_BYTES = select.PIPE_BUF
"""A pipe takes this many bytes atomically; a longer write may be mixed with those of other processes."""
_LAST_SECONDS = 2.0
"""Seconds that the last lines may take at the end of the process."""
_PAUSE_SECONDS = 0.001
"""Seconds that lines gather after one has been written, because waking the thread for each costs more."""
_LINE_BYTES = 1 << 16
"""Text without a line break is passed on when it reaches this length."""
_LOCKS: dict[tuple[int, int], threading.Lock] = {}
"""For each pipe, by device and inode: standard output and standard error may be the same."""


class StderrWriter(io.TextIOBase):
    """A text stream on a descriptor. Lines of several processes stay whole if each uses one of these.

    `report_dropped` is called with the number of dropped lines, once lines can be written again.
    """

    encoding = "utf-8"

    def __init__(
        self, descriptor: int, report_dropped: Callable[[int], None], max_bytes: int = MAX_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._report_dropped = report_dropped
        self._max_bytes = max_bytes
        status = os.fstat(descriptor)
        self._is_pipe = stat.S_ISFIFO(status.st_mode)
        self._lock = _LOCKS.setdefault((status.st_dev, status.st_ino), threading.Lock())
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._unfinished = ""
        # only one side changes each of these, so no lock: a log call in a destructor could find it held
        self._put_bytes = 0
        self._done_bytes = 0
        self._dropped = 0
        self._failed = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Start the thread that writes.

        Raises RuntimeError or MemoryError: if the thread cannot be started.
        """
        self._thread.start()

    def finish_at_exit(self) -> None:
        """Write the last lines when the process ends."""
        atexit.register(self.finish)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        """Queue the text. A line is written as a whole."""
        whole = text
        if self._unfinished or not text.endswith("\n"):
            whole = self._finished(text)
        if whole:
            self.put(whole.encode("utf-8", "backslashreplace"))
        return len(text)

    def _finished(self, text: str) -> str:
        whole, line_break, rest = (self._unfinished + text).rpartition("\n")
        if len(rest) > _LINE_BYTES:
            self._unfinished = ""
            return whole + line_break + rest
        self._unfinished = rest
        return whole + line_break

    def put(self, data: bytes) -> None:
        """Queue whole lines; dropped and counted if too many wait."""
        if self._put_bytes - self._done_bytes + len(data) > self._max_bytes:
            self._dropped += 1
            return
        self._put_bytes += len(data)
        self._lines.put(data)

    def finish(self, seconds: float = _LAST_SECONDS) -> bool:
        """Wait until everything is written, for at most `seconds`. Returns whether it was."""
        if self._unfinished:
            self.write("\n")
        deadline = time.monotonic() + seconds
        while self._done_bytes != self._put_bytes and self._thread.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    # -- in the thread

    def _run(self) -> None:
        held = b""
        while True:
            data = held or self._lines.get()
            held = b""
            count = 1
            while len(data) < _AT_ONCE_BYTES and not self._lines.empty():
                held = self._lines.get()
                if len(data) + len(held) > _AT_ONCE_BYTES:
                    break
                data, held, count = data + held, b"", count + 1
            written = self._write(data)
            self._done_bytes += len(data)
            if not written:
                self._failed += count
            elif self._put_bytes - self._done_bytes <= self._max_bytes // 2:
                self._report_lost()
            if self._lines.empty() and not held:
                time.sleep(_PAUSE_SECONDS)

    def _report_lost(self) -> None:
        lost = self._dropped + self._failed
        if lost > self._reported:
            unreported, self._reported = lost - self._reported, lost
            self._report_dropped(unreported)

    def _write(self, data: bytes) -> bool:
        """Returns whether the data was written: the reader may be gone, or the disk full."""
        try:
            with self._alone():
                rest = memoryview(data)
                while rest:
                    rest = rest[self._write_some(rest) :]
        except OSError:
            return False
        return True

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # a process that shares the descriptor has set the flag
            select.select([], [self._descriptor], [])
            return 0

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others that share the pipe from writing into the middle of a line: other processes, and
        writers of this process, among whom a lock of the system does not tell."""
        if not self._is_pipe:
            yield
            return
        with self._lock:
            locked = False
            with contextlib.suppress(OSError):  # not every system locks pipes
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
                locked = True
            try:
                yield
            finally:
                if locked:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def install_stderr_writer(report_dropped: Callable[[int], None]) -> TextIO:
    """Replace standard error, so that nothing in this process waits for its reader. Returns the new
    stream."""
    output = StderrWriter(sys.stderr.fileno(), report_dropped)
    try:
        output.start()
    except (RuntimeError, MemoryError):  # without a thread, writes block as before
        return sys.stderr
    output.finish_at_exit()
    sys.stderr = cast(TextIO, output)
    return sys.stderr
