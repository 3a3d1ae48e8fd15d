"""Has a thread write lines, so that whoever puts one waits for nothing.

any thread ── put ──► queue, bounded in bytes ──► one thread ── write
                └── full: dropped and counted       └── fails: kept, and tried again every second
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

MAX_BYTES = 8 << 20
"""Bytes of lines that wait to be written, in each process."""
_BATCH_BYTES = 64 << 10
_AGAIN_SECONDS = 1.0
LAST_SECONDS = 2.0
"""Seconds that the last lines may take at the end of the process."""

Failed = Callable[[OSError], None]
"""Called in the thread, at each attempt that failed."""
Recovered = Callable[[int], None]
"""Called in the thread when lines are written again, with the number of those that were lost."""


class LineWriter:
    """Lines that wait to be written. A subclass says where to."""

    def __init__(self, failed: Failed, recovered: Recovered, max_bytes: int = MAX_BYTES) -> None:
        self._failed = failed
        self._recovered = recovered
        self._max_bytes = max_bytes
        self._lines: SimpleQueue[bytes] = SimpleQueue()
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

    def finish(self, seconds: float = LAST_SECONDS) -> bool:
        """Wait until everything is written, for at most `seconds`. Returns whether it was."""
        deadline = time.monotonic() + seconds
        while self._done_bytes != self._put_bytes and self._thread.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────

    def _write(self, lines: Sequence[bytes]) -> None:
        """Write all of the lines, or none. Raises OSError: if it has failed, and should be tried again."""
        raise NotImplementedError

    def _idle_seconds(self) -> float | None:
        """How long to wait for a line until `_idle` is called. None: for ever."""
        return None

    def _idle(self) -> None:
        """Called when there was no line for so long."""

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            has_failed = False
            while True:
                try:
                    self._write(batch)
                    break
                except Exception as error:  # a thread that ends would lose all lines, and nobody would know
                    has_failed = True
                    self._failed(error if isinstance(error, OSError) else OSError(_described(error)))
                    time.sleep(_AGAIN_SECONDS)
            self._done_bytes += sum(map(len, batch))
            if has_failed or self._lost > self._told_lost:
                lost, self._told_lost = self._lost - self._told_lost, self._lost
                self._recovered(lost)

    def _next_batch(self) -> list[bytes]:
        """The next lines, as many as wait."""
        lines = [self._next_line()]
        size = len(lines[0])
        with suppress(Empty):
            while size < _BATCH_BYTES:
                lines.append(self._lines.get_nowait())
                size += len(lines[-1])
        return lines

    def _next_line(self) -> bytes:
        while True:
            seconds = self._idle_seconds()
            if seconds == 0:
                self._idle()
                continue
            with suppress(Empty):
                return self._lines.get(timeout=seconds)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
