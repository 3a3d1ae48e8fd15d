"""Whether the temporary directory has the disk space that a run of the tests needs.

A store on a full disk answers "internal error", and tests that have nothing to do with disks fail.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

NEEDED_BYTES = 4 << 30
"""For `make test`. The run uses up to about 2 GiB at a time, most of it in two SeaweedFS, and the store of
`s3sftp demo` stops writing when less than 1 GiB is free."""

LOW_BYTES = 1 << 30
"""With less than this, a failed test may have failed because of the disk."""


def shortage(needed_bytes: int, directory: Path | None = None) -> str | None:
    """One line about a directory (the temporary one by default) whose file system has less than that free."""
    directory = directory or Path(tempfile.gettempdir())
    free = shutil.disk_usage(directory).free
    if free >= needed_bytes:
        return None
    return (
        f"DISK SPACE: {directory} has {_gib(free)} free and the tests need {_gib(needed_bytes)}:"
        " free some, or set TMPDIR to a directory on another disk"
    )


def inside_another_run() -> bool:
    """Whether a test has started this run of pytest: the outer run has checked the disk."""
    return "PYTEST_CURRENT_TEST" in os.environ


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
