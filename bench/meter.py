"""Measures a server while it works: the processor time and the memory of its processes, from /proc."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

_SAMPLE_SECONDS = 0.2
_SETTLE_SECONDS = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Process ids: the root's and its descendants'."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid in _all_pids():
        fields = _fields(pid)
        if fields:
            children[int(fields[1])].append(pid)
    found, new = [], [root]
    while new:
        found += new
        new = [child for parent in new for child in children[parent]]
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a tree, of children that ended and were waited for as well."""
    return sum(_ticks(pid) for pid in tree(root)) / _TICKS


def thread_cpu_seconds(pid: int, thread: int | None = None) -> float:
    """User and system time, to the nanosecond, of a thread of a process; without one, of all that live."""
    tasks = _PROC / str(pid) / "task"
    total = 0
    for each in os.listdir(tasks) if thread is None else [str(thread)]:
        with contextlib.suppress(OSError):
            total += int((tasks / each / "schedstat").read_text().split()[0])
    return total / 1e9


def peak_resident_bytes(root: int) -> int:
    """Sum of the peak resident sizes of the processes that live now."""
    return sum(_peak(pid) for pid in tree(root))


def proportional_bytes(root: int) -> int:
    """PSS of a tree now: what each process has for itself, and its part of what several have together."""
    return sum(own_proportional_bytes(pid) for pid in tree(root))


def rested_bytes(root: int, looks: int = 10, pause_seconds: float = 0.3) -> int:
    """PSS of a tree when it has not become less at so many looks: some memory is given back late."""
    least, idle_looks = proportional_bytes(root), 0
    while idle_looks < looks:
        time.sleep(pause_seconds)
        now = proportional_bytes(root)
        idle_looks = 0 if now < least else idle_looks + 1
        least = min(least, now)
    return least


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]


def _fields(pid: int) -> list[str]:
    """What follows the name in /proc/PID/stat: state, parent, …; empty when the process is gone."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def _ticks(pid: int) -> int:
    # utime, stime, cutime, cstime
    return sum(map(int, _fields(pid)[11:15]))


def _peak(pid: int) -> int:
    return _bytes_in(pid, "status", "VmHWM:")


def own_proportional_bytes(pid: int) -> int:
    """PSS of one process now; 0 when it is gone."""
    return _bytes_in(pid, "smaps_rollup", "Pss:")


def _bytes_in(pid: int, file: str, field: str) -> int:
    """What a process's file in /proc says in KiB, in bytes; 0 when the process is gone."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


class Meter:
    """Processor time between `start` and `stop`, and the peak of memory.

    By default that of the processes' resident sizes since they began, which the kernel keeps. Of any other
    `memory`, such as `proportional_bytes`, it is the most that was seen five times a second between the two.
    """

    def __init__(self, pid: int, memory: Callable[[int], int] = peak_resident_bytes) -> None:
        self._pid = pid
        self._memory = memory
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
        return used, max(self._peak, self._memory(self._pid))

    def cancel(self) -> None:
        self._stopped.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, self._memory(self._pid))
