"""Makes the server start in minimal environments, which lack something that most processes have.

The cases: no entry in passwd and no writable directory (an unknown uid on a read-only root), where asyncssh
in two ways cannot be imported or cannot listen, although a server needs neither a home directory nor
temporary files; and no standard streams, under a parent that has closed them.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
import tempfile
from pathlib import Path


def open_standard_streams() -> None:
    """Open `/dev/null` in place of each closed standard stream. Otherwise the next socket would get its
    number, and output would go to a client."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 open as long as the process lasts
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def import_asyncssh() -> None:
    """Make sure that asyncssh can be imported and can listen."""
    _have_a_home()
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        _import_without_liboqs()


def _have_a_home() -> None:
    """asyncssh builds the path of `~/.ssh`, and fails without $HOME and an entry in passwd."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"  # as container runtimes set it


def _import_without_liboqs() -> None:
    """asyncssh looks for liboqs. Python's search for a library runs gcc, where it is installed, with a
    temporary file, and fails where there can be none."""
    found = ctypes.util.find_library

    def none(name: str) -> str | None:
        return None

    ctypes.util.find_library = none
    try:
        import asyncssh  # noqa: F401
    finally:
        ctypes.util.find_library = found
