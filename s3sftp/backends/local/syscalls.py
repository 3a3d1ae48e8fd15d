"""System calls that Python has no functions for."""

from __future__ import annotations

import ctypes
import errno
import os

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

_OPENAT2 = 437
"""The same number on every architecture but Alpha, because openat2(2) is younger than the common table."""
_RENAME_NOREPLACE = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """openat2(2): open a path below a directory, under the conditions of `resolve`.

    Raises OSError: if the system refuses.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    while True:
        opened: int = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_long(directory),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if opened >= 0:
            return opened
        _raise_unless_interrupted()


def rename_exclusive(source_dir: int, source: bytes, target_dir: int, target: bytes) -> None:
    """renameat2(2) with RENAME_NOREPLACE.

    Raises FileExistsError: if the target exists.
    Raises OSError: with ENOSYS or EINVAL if the kernel or the file system lacks the call.
    """
    if not hasattr(_libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    while _libc.renameat2(source_dir, source, target_dir, target, _RENAME_NOREPLACE) != 0:
        _raise_unless_interrupted()


def _raise_unless_interrupted() -> None:
    number = ctypes.get_errno()
    if number != errno.EINTR:
        raise OSError(number, os.strerror(number))
