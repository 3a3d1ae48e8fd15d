"""An upload: its state, and the file that is invisible until it is complete and gets its name in one step.

unnamed    O_TMPFILE: the kernel frees it with the last descriptor, so a crash leaves nothing behind.
           It gets a free name by link; a taken one by a link to a private name and a rename over the old file
named      where the file system has no unnamed files (NFS, some of FUSE): a private name, which listings
           leave out, and which is removed once its lock is free (`stale_uploads`)
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.backends.contract import Buffer, FileInfo, Place, Upload, WriteIntent
from s3sftp.backends.local.file_info import info_of, require_file, version_of
from s3sftp.backends.local.namespace import rename_exclusive, stat_or_none
from s3sftp.backends.local.stale_uploads import lock_file
from s3sftp.backends.local.tree import DirectoryTree
from s3sftp.errors import Busy, Changed, InvalidRequest

PARALLEL_CHUNKS = 4
_ATTEMPTS = 5
"""Maximum attempts to make the directory, in case another process removes it before it is used."""


class LocalUpload(Upload):
    """One upload; its file is closed when it has ended."""

    parallel_chunks = PARALLEL_CHUNKS

    def __init__(self, place: Place, intent: WriteIntent, file: UncommittedFile, chunk_bytes: int) -> None:
        self.place = place
        self.intent = intent
        self.file = file
        self.chunk_bytes = chunk_bytes
        self.size = 0
        self._ended = False
        self._missing = 0
        """Pieces that are in progress or have failed."""

    @contextmanager
    def piece(self, count: int) -> Iterator[int]:
        """Take the next position in the file. The piece counts as missing unless the block succeeds."""
        self.must_run()
        at = self.size
        self.size += count
        self._missing += 1
        yield at
        self._missing -= 1

    def must_be_whole(self, size: int) -> None:
        """Raises InvalidRequest: if pieces are missing, or the size is not the announced one."""
        self.must_run()
        if self._missing:
            raise contract_violation("finish while a chunk is on its way or after one failed")
        if self.size != size:
            raise contract_violation(f"{self.size} bytes came, {size} were announced")

    def complete(self, *, mtime: float | None, exclusive: bool, base: str | None) -> FileInfo:
        """Complete the file, in a thread. `stored` is set even if the caller has been cancelled."""
        self.stored = self.file.complete(mtime=mtime, exclusive=exclusive, base=base)
        return self.stored

    def must_run(self) -> None:
        if self._ended:
            raise contract_violation("a call after the upload's end")

    def end(self) -> None:
        self._ended = True


def contract_violation(what: str) -> InvalidRequest:
    """The error for a caller that broke the contract: a fault of the server, never of the client."""
    return InvalidRequest("invalid write", detail=what)


class UncommittedFile:
    """The file of one upload. Called from one thread at a time, except `write`."""

    def __init__(self, tree: DirectoryTree, place: Place, mode: int | None) -> None:
        self._tree = tree
        self._place = place
        self._mode = mode
        self.descriptor = -1
        self._directory = -1
        self._private: bytes | None = None

    def open(self) -> None:
        """Make the file, on the file system of its future name.

        Raises IsADirectory: if a directory has the name.
        Raises NotADirectory: if a parent's name belongs to a file.
        """
        self._refuse_target()
        with self._tree.nearest(self._place) as directory:
            self._directory = os.dup(directory)
        unnamed = self._tree.open_unnamed(self._directory)
        if unnamed is None:
            self._open_named()
        else:
            self.descriptor = unnamed
            lock_file(unnamed)
            self._close_directory()
        if self._mode is not None:
            os.fchmod(self.descriptor, self._mode)

    def write(self, at: int, data: Buffer) -> None:
        """Write all of `data` at an offset. Several threads may write at once."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self.descriptor, rest, at)
            rest, at = rest[written:], at + written

    def complete(self, *, mtime: float | None, exclusive: bool, base: str | None) -> FileInfo:
        """Give the file its name. `base` is the version that must have the name now.

        Raises AlreadyExists: if `exclusive` and the name is taken.
        Raises Changed: if the name's file is not at version `base`.
        Raises IsADirectory: if a directory has the name.
        """
        if mtime is None:
            os.utime(self.descriptor)
        else:
            at = round(mtime * 1e9)
            os.utime(self.descriptor, ns=(at, at))
        self._tree.sync_file(self.descriptor)
        for left in reversed(range(_ATTEMPTS)):
            try:
                self._take_name(exclusive, base)
                break
            except FileNotFoundError:
                if not left:
                    raise
        return info_of(os.fstat(self.descriptor))

    def close(self) -> None:
        """Discard the file unless it is complete. May be called twice, and before `open`."""
        self._drop()
        self._close_directory()

    def _drop(self) -> None:
        if self._private is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._private, dir_fd=self._directory)
            self._private = None
        if self.descriptor >= 0:
            with contextlib.suppress(OSError):  # late errors of a discarded file
                os.close(self.descriptor)
            self.descriptor = -1

    def _close_directory(self) -> None:
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _open_named(self) -> None:
        """Raises Busy: if a sweeper removed the file at each attempt, before it was locked."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        for _ in range(_ATTEMPTS):
            self._private = _private_name()
            self.descriptor = os.open(self._private, flags, 0o666, dir_fd=self._directory)
            with contextlib.suppress(BlockingIOError):
                lock_file(self.descriptor)
                if os.fstat(self.descriptor).st_nlink:
                    return
            self._drop()
        raise Busy

    def _refuse_target(self) -> None:
        """Raises IsADirectory: if a directory has the name.
        Raises PermissionDenied: if something else than a file has it."""
        taken = stat_or_none(self._tree, self._place)
        if taken is not None:
            require_file(taken)

    def _take_name(self, exclusive: bool, base: str | None) -> None:
        with self._tree.place_for(self._place) as directory:
            if base is not None:
                self._require_base(base)
            if not exclusive:
                self._refuse_target()
            if self._private is not None:
                self._take_by_rename(directory, exclusive)
            else:
                self._take_by_link(directory, exclusive)
            self._tree.sync(directory)

    def _require_base(self, base: str) -> None:
        status = stat_or_none(self._tree, self._place)
        if status is None or version_of(status) != base:
            raise Changed

    def _take_by_link(self, directory: int, exclusive: bool) -> None:
        try:
            self._link(directory, self._place.name)
        except FileExistsError:
            if exclusive:
                raise
            private = _private_name()
            self._link(directory, private)
            try:
                os.rename(private, self._place.name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                os.unlink(private, dir_fd=directory)
                raise

    def _take_by_rename(self, directory: int, exclusive: bool) -> None:
        if self._private is None:
            raise ValueError("it has no name")
        if exclusive:
            rename_exclusive(self._directory, self._private, directory, self._place.name)
        else:
            os.rename(self._private, self._place.name, src_dir_fd=self._directory, dst_dir_fd=directory)
        self._private = None

    def _link(self, directory: int, name: bytes) -> None:
        # through the descriptor's own entry in /proc, which no other process can change
        os.link(f"/proc/self/fd/{self.descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)


def _private_name() -> bytes:
    return b".s3sftp-%s.part" % secrets.token_hex(16).encode()
