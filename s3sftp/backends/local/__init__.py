"""Stores files in a directory of this machine.

`LocalBackend` is loaded when it is first used: the options alone need neither threads nor system calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3sftp.backends.local.options import LocalOptions

if TYPE_CHECKING:
    from s3sftp.backends.local.backend import LocalBackend

__all__ = ["LocalBackend", "LocalOptions"]


def __getattr__(name: str) -> Any:
    if name != "LocalBackend":
        raise AttributeError(name)
    from s3sftp.backends.local.backend import LocalBackend

    return LocalBackend
