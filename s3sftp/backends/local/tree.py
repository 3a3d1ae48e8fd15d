"""The directory that is served, and the only way to anything in it: descriptors, never paths."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.backends.contract import Place
from s3sftp.backends.local.path_resolver import Resolver
from s3sftp.errors import NotADirectory, NotFound, PermissionDenied, StorageError

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
QUIETLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
"""Flags for reading: a pipe that was swapped in does not block, a terminal does not become ours."""
_RESERVED = re.compile(rb"\.s3sftp-[0-9a-f]{32}\.part")


def is_reserved(name: bytes) -> bool:
    """Whether a name is one of those that unfinished uploads may have."""
    return _RESERVED.fullmatch(name) is not None


class DirectoryTree:
    """What is below the root. `follow`: whether links that stay inside are followed."""

    def __init__(self, resolver: Resolver, *, follow: bool, fsync: bool, dir_mode: int | None) -> None:
        self._resolver = resolver
        self._follow = follow
        self._fsync = fsync
        self._dir_mode = dir_mode

    def open(self, place: Place, flags: int) -> int:
        """A descriptor of what has that name. Raises OSError, PermissionDenied."""
        _refuse_reserved(*place.names)
        return self._resolver.open(place.names, flags)

    def open_names(self, place: Place) -> int:
        """A descriptor to read a directory's names from. Raises OSError, PermissionDenied."""
        directory = self.open(place, _DIRECTORY)
        try:
            return _names_of(directory)
        finally:
            os.close(directory)

    def look(self, place: Place) -> os.stat_result:
        """What has that name; of a link itself where links are not followed. Raises NotFound."""
        with self._descriptor(place, os.O_PATH if self._follow else os.O_PATH | os.O_NOFOLLOW) as found:
            return os.fstat(found)

    @contextmanager
    def parent(self, place: Place) -> Iterator[int]:
        """The directory that a name is in. Raises NotFound."""
        with self._descriptor(place.parent, _DIRECTORY) as directory:
            _refuse_reserved(place.name)
            yield directory

    @contextmanager
    def nearest(self, place: Place) -> Iterator[int]:
        """The deepest directory that exists, of those that a name is to be in."""
        directory, _ = self._deepest(place.parent)
        try:
            yield directory
        finally:
            os.close(directory)

    @contextmanager
    def place_for(self, place: Place) -> Iterator[int]:
        """The directory for a new name. What is missing of it is made, and removed if the block fails."""
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
        """Make a directory with the permissions that the options say."""
        os.mkdir(name, 0o777 if self._dir_mode is None else self._dir_mode, dir_fd=directory)
        if self._dir_mode is not None:
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                os.fchmod(made, self._dir_mode)  # mkdir has taken the umask off
            finally:
                os.close(made)
        self.sync(directory)

    def sync(self, directory: int) -> None:
        """Make what was done to the names in a directory last, if the options say so."""
        if not self._fsync:
            return
        try:
            readable = _names_of(directory)
        except PermissionError:
            return  # a directory that may be written but not read cannot be asked
        try:
            os.fsync(readable)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
                raise
        finally:
            os.close(readable)

    def sync_file(self, file: int) -> None:
        """The same for the content of a file."""
        if self._fsync:
            os.fsync(file)

    @contextmanager
    def _descriptor(self, place: Place, flags: int) -> Iterator[int]:
        try:
            opened = self.open(place, flags)
        except NotADirectoryError as error:
            raise NotFound from error  # nothing is below a file
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
        """The deepest of a directory and those above it that exists. Raises NotADirectory."""
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
    """The same directory, open for reading: places are opened as no more than places."""
    return os.open(b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)


def _enter(directory: int, name: bytes) -> int:
    """A directory in a directory that is open: one name, no link."""
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
