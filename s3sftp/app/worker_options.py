"""Decides how many workers serve, and computes each worker's share of the server's limits.

By default there is one worker for each processor that this process may use, by CPU affinity and by its
container's quota.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic.fields import FieldInfo

from s3sftp.app.options import ServerOptions
from s3sftp.backends.registry import BUILT_IN
from s3sftp.config import DIVIDED, Options

Group = TypeVar("Group", bound=Options)

_CGROUPS = Path("/sys/fs/cgroup")
MIN_BUFFER_BYTES = 32 << 20
"""The least share of `files.buffer_bytes` for a worker that is started by default: four parts."""


def worker_count(options: ServerOptions) -> int:
    """How many processes serve connections."""
    built_in = BUILT_IN.get(options.backend)
    if built_in is None:  # only the operator knows whether such a storage's state may exist once per worker
        return options.server.workers or 1
    if built_in.in_one_process:
        return 1
    return options.server.workers or default_workers(options.files.buffer_bytes)


def worker_share(options: ServerOptions, workers: int) -> ServerOptions:
    """The options of each worker: its share of those that are `DIVIDED`, and the others unchanged."""
    groups = {name: group for name, group in options if isinstance(group, Options)}
    shares = {name: _share_of(group, workers) for name, group in groups.items()}
    update: dict[str, object] = {name: share for name, share in shares.items() if share != groups[name]}
    if options.storages:
        update["storages"] = {name: _share_of(each, workers) for name, each in options.storages.items()}
    return options.model_copy(update=update)


def _share_of(group: Group, workers: int) -> Group:
    shares = {
        name: max(_least(field), getattr(group, name) // workers)
        for name, field in type(group).model_fields.items()
        if DIVIDED in field.metadata
    }
    return group.model_copy(update=shares)


def _least(field: FieldInfo) -> int:
    return max((bound.ge for bound in field.metadata if hasattr(bound, "ge")), default=0)


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
