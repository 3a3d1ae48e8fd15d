"""Makes, removes and renames files and directories, each by one system call.

The call takes a directory's descriptor and a name. The name is looked up first, so that a refusal can give
its reason. If another process changes it before the call, the kernel decides by what is there then, in that
same directory.
"""

from __future__ import annotations

import errno
import os

from s3sftp.backends.contract import Place
from s3sftp.backends.local import syscalls
from s3sftp.backends.local.file_info import is_dir, require_directory, require_file, require_file_or_directory
from s3sftp.backends.local.stale_uploads import remove_stale_files
from s3sftp.backends.local.tree import QUIETLY, DirectoryTree
from s3sftp.errors import AlreadyExists, InvalidRequest, NotFound, Unsupported

_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def make_dir(tree: DirectoryTree, place: Place) -> None:
    """Make a directory and its missing parents.

    Raises AlreadyExists: if the name is taken.
    Raises NotADirectory: if a parent's name belongs to a file.
    """
    if place.is_root:
        raise AlreadyExists
    with tree.place_for(place) as directory:
        tree.make_dir(directory, place.name)


def del_dir(tree: DirectoryTree, place: Place) -> None:
    """Remove an empty directory.

    Raises NotFound: if there is nothing at `place`.
    Raises NotADirectory: if it is a file.
    Raises NotEmpty: if the directory contains anything.
    """
    if place.is_root:
        raise InvalidRequest("the root cannot be removed")
    require_directory(tree.stat(place))
    with tree.parent(place) as directory:
        try:
            os.rmdir(place.name, dir_fd=directory)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not remove_stale_files(tree, place):
                raise
            os.rmdir(place.name, dir_fd=directory)
        tree.sync(directory)


def delete(tree: DirectoryTree, place: Place) -> None:
    """Remove a file. If it is a link that is followed, the link itself is removed.

    Raises NotFound: if there is nothing at `place`.
    Raises IsADirectory: if it is a directory.
    """
    require_file(tree.stat(place))
    with tree.parent(place) as directory:
        os.unlink(place.name, dir_fd=directory)
        tree.sync(directory)


def rename(tree: DirectoryTree, source: Place, target: Place, *, overwrite: bool) -> None:
    """Move a file or a directory, as the contract's `rename`.

    Raises NotFound: if there is nothing at `source`.
    Raises AlreadyExists: if the target exists and may not be replaced.
    Raises InvalidRequest: if the target is inside the source.
    Raises Unsupported: if the file system cannot do it.
    """
    status = tree.stat(source)
    require_file_or_directory(status)
    if source.is_root or (target.is_within(source) and (is_dir(status) or target != source)):
        raise InvalidRequest("cannot be moved into itself")
    if target.is_root:
        raise AlreadyExists
    with tree.parent(source) as source_dir, tree.place_for(target) as target_dir:
        taken = stat_or_none(tree, target)
        if taken is not None:
            require_file_or_directory(taken)
            if not overwrite or is_dir(status) or is_dir(taken):
                raise AlreadyExists
        try:
            if overwrite and not is_dir(status):
                os.rename(source.name, target.name, src_dir_fd=source_dir, dst_dir_fd=target_dir)
            else:
                rename_exclusive(source_dir, source.name, target_dir, target.name, directory=is_dir(status))
        except IsADirectoryError as error:
            raise AlreadyExists from error
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise Unsupported("cannot be moved to another file system") from error
            raise
        tree.sync(target_dir)
        if source.parent != target.parent:
            tree.sync(source_dir)


def set_mtime(tree: DirectoryTree, place: Place, mtime: float) -> None:
    """Set the modification time of a file or a directory.

    Raises NotFound: if there is nothing at `place`.
    """
    require_file_or_directory(tree.stat(place))
    opened = tree.open(place, QUIETLY)
    try:
        status = os.fstat(opened)
        require_file_or_directory(status)
        os.utime(opened, ns=(status.st_atime_ns, round(mtime * 1e9)))
    finally:
        os.close(opened)


def rename_exclusive(
    source_dir: int, source: bytes, target_dir: int, target: bytes, *, directory: bool = False
) -> None:
    """Rename onto a free name in one atomic step.

    Raises FileExistsError: if the name is taken.
    """
    try:
        syscalls.rename_exclusive(source_dir, source, target_dir, target)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        if directory:
            # the caller has checked the name; only an empty directory made since then could be replaced
            os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
        else:
            os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
            os.unlink(source, dir_fd=source_dir)


def stat_or_none(tree: DirectoryTree, place: Place) -> os.stat_result | None:
    """The stat of a name; None if it is free."""
    try:
        return tree.stat(place)
    except (NotFound, FileNotFoundError):
        return None
