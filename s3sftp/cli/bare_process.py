"""Starting as a uid without an entry in passwd, where nothing can be written: on a read-only root.

asyncssh cannot be imported or listen there, in two cases, although a server needs neither a home directory
nor temporary files. Both are worked around here.
"""

from __future__ import annotations

import ctypes.util
import os
import tempfile
from pathlib import Path


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
