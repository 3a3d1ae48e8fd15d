"""Resolves paths that cannot lead out of a directory: the kernel resolves them below its descriptor.

    openat2     one call for the whole path, with RESOLVE_BENEATH, and with RESOLVE_NO_SYMLINKS unless links
                are followed. The kernel also notices a directory that is moved out in the meantime.
    walk        where that call is missing (before Linux 5.6, or forbidden by a container): opens one
                directory after the other, none of them a link

No path is checked first and used later, so there is no moment in which it could be replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Protocol

from s3sftp.backends.local import syscalls
from s3sftp.backends.local.file_info import LINK_REFUSED
from s3sftp.errors import Busy, PermissionDenied

_ATTEMPTS = 100
"""Maximum attempts: the kernel returns EAGAIN if something was renamed while it resolved a link that contains
`..`."""


class Resolver(Protocol):
    """Opens files and directories below one directory."""

    def open(self, names: Sequence[bytes], flags: int) -> int:
        """A descriptor of the names' target; without names, of the directory itself.

        Raises PermissionDenied: if a link is not followed.
        Raises OSError: if the system refuses.
        """


class KernelResolver:
    """Resolves by openat2."""

    def __init__(self, root: int, *, follow: bool) -> None:
        self._root = root
        self._resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_MAGICLINKS
        if not follow:
            self._resolve |= syscalls.RESOLVE_NO_SYMLINKS

    def open(self, names: Sequence[bytes], flags: int) -> int:
        path = b"/".join(names) or b"."
        for _ in range(_ATTEMPTS):
            try:
                return syscalls.openat2(self._root, path, flags, self._resolve)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.EXDEV):
                    raise PermissionDenied(LINK_REFUSED, detail=str(error)) from error
                raise
        raise Busy


class WalkingResolver:
    """Resolves by opening each directory on the way. Follows no links."""

    def __init__(self, root: int) -> None:
        self._root = root

    def open(self, names: Sequence[bytes], flags: int) -> int:
        if not names:
            return os.open(b".", flags | os.O_CLOEXEC, dir_fd=self._root)
        directory = os.dup(self._root)
        try:
            for name in names[:-1]:
                directory, left = _step(directory, name, os.O_PATH), directory
                os.close(left)
                _require_real_directory(directory)
            return self._last(directory, names[-1], flags)
        finally:
            os.close(directory)

    def _last(self, directory: int, name: bytes, flags: int) -> int:
        opened = _step(directory, name, flags & ~os.O_DIRECTORY)
        try:
            if flags & os.O_DIRECTORY:
                _require_real_directory(opened)
        except BaseException:
            os.close(opened)
            raise
        return opened


def _step(directory: int, name: bytes, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PermissionDenied(LINK_REFUSED, detail=str(error)) from error
        raise


def _require_real_directory(descriptor: int) -> None:
    # without O_DIRECTORY this opens the link itself, which can then be distinguished from a file
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISLNK(mode):
        raise PermissionDenied(LINK_REFUSED)
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def has_openat2(root: int) -> bool:
    """Whether the kernel has openat2 and this process may use it."""
    try:
        os.close(syscalls.openat2(root, b".", os.O_PATH | os.O_DIRECTORY, syscalls.RESOLVE_BENEATH))
    except OSError:
        return False
    return True
