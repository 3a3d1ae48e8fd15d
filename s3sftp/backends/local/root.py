"""Opens the root directory once, at start; it stays open until the end."""

from __future__ import annotations

import os
from dataclasses import dataclass

from s3sftp.backends.local import uncommitted_file
from s3sftp.backends.local.options import LocalOptions
from s3sftp.backends.local.path_resolver import KernelResolver, Resolver, WalkingResolver, has_openat2
from s3sftp.backends.local.tree import DirectoryTree
from s3sftp.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Root:
    """The directory that is served."""

    tree: DirectoryTree
    by_openat2: bool
    may_have_stale_files: bool
    """Whether uploads have names here, so that a server that was killed may have left some."""
    _descriptor: int

    def close(self) -> None:
        os.close(self._descriptor)


def open_root(options: LocalOptions) -> Root:
    """Open the directory that the options name.

    Raises ConfigurationError: if it cannot be served.
    """
    try:
        descriptor = os.open(options.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError([f"local.root = {str(options.root)!r}: {error.strerror}"]) from error
    try:
        return _root_at(descriptor, options)
    except BaseException:
        os.close(descriptor)
        raise


def _root_at(descriptor: int, options: LocalOptions) -> Root:
    follow = options.follow_symlinks
    by_openat2 = has_openat2(descriptor)
    if follow and not by_openat2:
        raise ConfigurationError(
            ["local.follow_symlinks = true needs openat2: Linux 5.6, and a container that allows it"]
        )
    resolver: Resolver = (
        KernelResolver(descriptor, follow=follow) if by_openat2 else WalkingResolver(descriptor)
    )
    tree = DirectoryTree(resolver, follow=follow, fsync=options.fsync, dir_mode=options.dir_mode)
    return Root(tree, by_openat2, _names_its_uploads(descriptor), descriptor)


def _names_its_uploads(directory: int) -> bool:
    try:
        unnamed = uncommitted_file.open_unnamed(directory)
    except OSError:
        return False  # nothing can be written here
    if unnamed is not None:
        os.close(unnamed)
    return unnamed is None
