"""A process and all that descend from it, as /proc shows them."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from pathlib import Path

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


def peak_resident_bytes(root: int) -> int:
    """Sum of the peak resident sizes of the processes that live now."""
    return sum(_peak(pid) for pid in tree(root))


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
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
