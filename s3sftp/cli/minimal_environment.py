"""Starting where something is missing that most processes have.

No entry in passwd, and nowhere to write: as a uid that nobody knows, on a read-only root. asyncssh cannot be
imported or listen there, in two cases, although a server needs neither a home directory nor temporary files.
No standard streams: under a parent that has closed them.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
import tempfile
from pathlib import Path


def open_standard_streams() -> None:
    """Have `/dev/null` in the place of each that is closed. The next socket would get its number, and what is
    written to it would go to a client."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  for as long as the process lasts
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def import_asyncssh() -> None:
    """See that asyncssh can be imported and listen."""
    _have_a_home()
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        _import_without_liboqs()


def _have_a_home() -> None:
    """asyncssh makes up the path of `~/.ssh`, and fails without $HOME and an entry in passwd."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"  # as container runtimes set it


def _import_without_liboqs() -> None:
    """asyncssh looks for liboqs. Python looks for a library by gcc, where that is installed, with a temporary
    file, and fails where there can be none."""
    found = ctypes.util.find_library

    def none(name: str) -> str | None:
        return None

    ctypes.util.find_library = none
    try:
        import asyncssh  # noqa: F401
    finally:
        ctypes.util.find_library = found
