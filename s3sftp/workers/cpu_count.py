"""Counts the processors that this process may use, by CPU affinity and by its container's quota."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
MIN_BUFFER_BYTES = 32 << 20
"""The least share of `files.buffer_bytes` for a worker that is started by default: four parts."""


def default_workers(buffer_bytes: int) -> int:
    """The default number of workers: one per processor, but each keeps at least MIN_BUFFER_BYTES."""
    return max(1, min(processors(), buffer_bytes // MIN_BUFFER_BYTES))


def processors(cgroups: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """The number of usable processors, at least one. A fractional quota is rounded down."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(_quotas(cgroups, _own_group(membership)), default=float(allowed))
    return max(1, min(allowed, int(quota)))


def _own_group(membership: Path) -> str:
    """The path of the process's group in the unified hierarchy (cgroups 7); empty if there is none."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")


def _quotas(cgroups: Path, group: str) -> list[float]:
    """The limits in `cpu.max` of the group and of its ancestors, in processors."""
    folders = [cgroups / group, *(cgroups / group).parents] if group else [cgroups]
    found = []
    for folder in folders:
        if not folder.is_relative_to(cgroups):
            break
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                found.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return found
