"""Records the files that options are read from, and detects whether one has changed since.

Files are compared by the stat of the target of their name, symbolic links followed. A mounted Secret or
ConfigMap of Kubernetes changes by a link that is swapped:

    alice.toml ─► ..data/alice.toml        ..data ─► ..2026_07_01     and then     ..data ─► ..2026_07_02

The name then leads to another inode, although neither the link `alice.toml` nor its directory was touched.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from s3sftp.config.documents import ENDINGS

Snapshot = Mapping[str, int]
"""The state of each file and directory. If two snapshots are equal, nothing has changed in between."""
_MISSING = 0


class SourceFiles:
    """Records each file before it is read, so that no later change is missed."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._directories: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._files or self._directories)

    def note(self, file: Path) -> None:
        """Record a file that is about to be read."""
        self._files[str(file)] = _signature(str(file))

    def option_files(self, directory: Path) -> list[Path]:
        """The files `*.toml`, `*.yaml`, `*.yml` in a directory, recorded as about to be read, sorted by name.

        Hidden files are left out: files that are not yet meant to be read, and those that Kubernetes keeps
        beside its links.

        Raises OSError: if the directory cannot be read.
        """
        try:
            names = _names(str(directory))
        except OSError:
            self._directories[str(directory)] = _MISSING
            raise
        self._directories[str(directory)] = hash(tuple(names))
        files = [directory / name for name in names]
        for file in files:
            self.note(file)
        return files

    def recorded(self) -> Snapshot:
        """The snapshot from when each file was recorded."""
        return self._files | self._directories

    def now(self) -> Snapshot:
        """The snapshot of the same files now. Blocking: it stats each file."""
        look: dict[str, int] = {}
        for directory in self._directories:
            try:
                names = _names(directory)
            except OSError:
                look[directory] = _MISSING
                continue
            look[directory] = hash(tuple(names))
            for name in names:
                file = os.path.join(directory, name)
                look[file] = _signature(file)
        for file in self._files:
            if file not in look:
                look[file] = _signature(file)
        return look


def _names(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(e.name for e in entries if e.name.endswith(ENDINGS) and not e.name.startswith("."))


def _signature(file: str) -> int:
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return _MISSING
    return hash(
        (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    )
