"""Translates a stat of the file system into a `FileInfo`, and decides which kinds of files are served.

Regular files and directories are served. Symbolic links are served only where they are followed, and then
appear as their target. Sockets, pipes and devices never are.
"""

from __future__ import annotations

import os
import stat

from s3sftp.backends.contract import FileInfo, Kind
from s3sftp.errors import IsADirectory, NotADirectory, PermissionDenied

LINK_REFUSED = "symbolic links are refused"
_SPECIAL_REFUSED = "neither a file nor a directory"


def require_file_or_directory(status: os.stat_result) -> None:
    """Raises PermissionDenied: if it is neither a file nor a directory."""
    if stat.S_ISLNK(status.st_mode):
        raise PermissionDenied(LINK_REFUSED)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise PermissionDenied(_SPECIAL_REFUSED)


def is_dir(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def require_file(status: os.stat_result) -> None:
    """Raises IsADirectory: if it is a directory.
    Raises PermissionDenied: if it is neither a file nor a directory."""
    require_file_or_directory(status)
    if is_dir(status):
        raise IsADirectory


def require_directory(status: os.stat_result) -> None:
    """Raises NotADirectory: if it is a file.
    Raises PermissionDenied: if it is neither a file nor a directory."""
    require_file_or_directory(status)
    if not is_dir(status):
        raise NotADirectory


def info_of(status: os.stat_result) -> FileInfo:
    """The `FileInfo` of a stat.

    Raises PermissionDenied: if it is neither a file nor a directory.
    """
    require_file_or_directory(status)
    mode = stat.S_IMODE(status.st_mode)
    mtime = status.st_mtime_ns / 1e9
    if is_dir(status):
        return FileInfo(Kind.DIRECTORY, mtime=mtime, mode=mode)
    return FileInfo(Kind.FILE, status.st_size, mtime, version_of(status), mode)


def version_of(status: os.stat_result) -> str:
    """The version of a file's content. It includes the change time because inode numbers are reused, and
    because anybody who may write the file may set its modification time."""
    numbers = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return "-".join(f"{number:x}" for number in numbers)
