"""Measures a server while it works."""

from __future__ import annotations

import threading
import time

from bench.measure.tree import cpu_seconds, peak_resident_bytes, tree

_SAMPLE_SECONDS = 0.2
_SETTLE_SECONDS = 3.0


class Meter:
    """Processor time between `start` and `stop`, and the peak of memory since the process began."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._before = 0.0
        self._alone: set[int] = set()

    def start(self) -> None:
        self._alone = set(tree(self._pid))
        self._before = cpu_seconds(self._pid)
        self._watcher.start()

    def stop(self) -> tuple[float, int]:
        """CPU seconds and peak bytes. Processes that served one connection have ended by then."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while set(tree(self._pid)) - self._alone and time.monotonic() < deadline:
            time.sleep(0.02)
        used = cpu_seconds(self._pid) - self._before
        self.cancel()
        return used, max(self._peak, peak_resident_bytes(self._pid))

    def cancel(self) -> None:
        self._stopped.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, peak_resident_bytes(self._pid))
