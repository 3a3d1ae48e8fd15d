"""The served directory tree: its root, opened once at start, and everything below it.

All access goes through descriptors, never through paths.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from s3sftp.backends.contract import Place
from s3sftp.backends.local.options import LocalOptions
from s3sftp.backends.local.path_resolver import KernelResolver, Resolver, WalkingResolver, has_openat2
from s3sftp.errors import ConfigurationError, NotADirectory, NotFound, PermissionDenied, StorageError

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
QUIETLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
"""Flags for reading: opening a pipe that was swapped in does not block, and a terminal does not become
ours."""
_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS)
_RESERVED = re.compile(rb"\.s3sftp-[0-9a-f]{32}\.part")


def is_reserved(name: bytes) -> bool:
    """Whether a name is reserved for unfinished uploads."""
    return _RESERVED.fullmatch(name) is not None


class DirectoryTree:
    """Everything below the root. `follow`: whether links that stay inside are followed."""

    def __init__(self, resolver: Resolver, *, follow: bool, fsync: bool, dir_mode: int | None) -> None:
        self._resolver = resolver
        self._follow = follow
        self._fsync = fsync
        self._dir_mode = dir_mode

    def open(self, place: Place, flags: int) -> int:
        """A descriptor of a place.

        Raises PermissionDenied: if a link is not followed.
        Raises OSError: if the system refuses.
        """
        _refuse_reserved(*place.names)
        return self._resolver.open(place.names, flags)

    def open_names(self, place: Place) -> int:
        """A descriptor from which a directory's names can be read.

        Raises PermissionDenied: if a link is not followed.
        Raises OSError: if the system refuses.
        """
        directory = self.open(place, _DIRECTORY)
        try:
            return _names_of(directory)
        finally:
            os.close(directory)

    def stat(self, place: Place) -> os.stat_result:
        """The stat of a place; of the link itself where links are not followed.

        Raises NotFound: if there is nothing at `place`.
        """
        with self._descriptor(place, os.O_PATH if self._follow else os.O_PATH | os.O_NOFOLLOW) as found:
            return os.fstat(found)

    @contextmanager
    def parent(self, place: Place) -> Iterator[int]:
        """A descriptor of the directory that contains a place.

        Raises NotFound: if there is no such directory.
        """
        with self._descriptor(place.parent, _DIRECTORY) as directory:
            _refuse_reserved(place.name)
            yield directory

    @contextmanager
    def nearest(self, place: Place) -> Iterator[int]:
        """The deepest existing directory among the parents of a place."""
        directory, _ = self._deepest(place.parent)
        try:
            yield directory
        finally:
            os.close(directory)

    @contextmanager
    def place_for(self, place: Place) -> Iterator[int]:
        """The directory for a new name. Missing directories are made, and removed again if the block
        fails."""
        _refuse_reserved(place.name)
        made: list[Place] = []
        try:
            directory = self._open_making(place.parent, made)
            try:
                yield directory
            finally:
                os.close(directory)
        except BaseException:
            for each in reversed(made):
                with contextlib.suppress(OSError, StorageError), self.parent(each) as above:
                    os.rmdir(each.name, dir_fd=above)
            raise

    def make_dir(self, directory: int, name: bytes) -> None:
        """Make a directory with the configured permissions."""
        os.mkdir(name, 0o777 if self._dir_mode is None else self._dir_mode, dir_fd=directory)
        if self._dir_mode is not None:
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                os.fchmod(made, self._dir_mode)  # mkdir has applied the umask
            finally:
                os.close(made)
        self.sync(directory)

    @staticmethod
    def open_unnamed(directory: int) -> int | None:
        """A new file without a name; None if the file system has none, or could not give it a name later."""
        if not os.path.isdir("/proc/self/fd"):
            return None
        try:
            return os.open(b".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=directory)
        except OSError as error:
            if error.errno in _NO_UNNAMED_FILES:
                return None
            raise

    def sync(self, directory: int) -> None:
        """Make changes to the names in a directory durable, if the options require it."""
        if not self._fsync:
            return
        try:
            readable = _names_of(directory)
        except PermissionError:
            return  # a directory that is writable but not readable cannot be synced
        try:
            os.fsync(readable)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
                raise
        finally:
            os.close(readable)

    def sync_file(self, file: int) -> None:
        """Make the content of a file durable, if the options require it."""
        if self._fsync:
            os.fsync(file)

    @contextmanager
    def _descriptor(self, place: Place, flags: int) -> Iterator[int]:
        try:
            opened = self.open(place, flags)
        except NotADirectoryError as error:
            raise NotFound from error  # there is nothing below a file
        try:
            yield opened
        finally:
            os.close(opened)

    def _open_making(self, wanted: Place, made: list[Place]) -> int:
        directory, found = self._deepest(wanted)
        try:
            for depth in range(len(found.names), len(wanted.names)):
                each = Place(wanted.names[: depth + 1])
                with contextlib.suppress(FileExistsError):
                    self.make_dir(directory, each.name)
                    made.append(each)
                directory, left = _enter(directory, each.name), directory
                os.close(left)
        except BaseException:
            os.close(directory)
            raise
        return directory

    def _deepest(self, wanted: Place) -> tuple[int, Place]:
        """The deepest existing one of a directory and its parents.

        Raises NotADirectory: if one of the names belongs to a file.
        """
        while True:
            try:
                return self.open(wanted, _DIRECTORY), wanted
            except FileNotFoundError:
                if wanted.is_root:
                    raise
                wanted = wanted.parent
            except NotADirectoryError as error:
                raise NotADirectory from error


def _refuse_reserved(*names: bytes) -> None:
    if any(map(is_reserved, names)):
        raise PermissionDenied("this name is reserved for unfinished uploads")


def _names_of(directory: int) -> int:
    """The same directory, open for reading: the tree opens directories with O_PATH only."""
    return os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)


def _enter(directory: int, name: bytes) -> int:
    """Open a directory by one name in an open directory, without following a link."""
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


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
        unnamed = DirectoryTree.open_unnamed(directory)
    except OSError:
        return False  # nothing can be written here
    if unnamed is not None:
        os.close(unnamed)
    return unnamed is None
