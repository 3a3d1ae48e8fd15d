"""Private temporary files for bytes that fit neither in memory nor, yet, in the storage."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from s3sftp.errors import NoSpace, StorageError, StorageFailure
from s3sftp.runtime.cancellation import run_to_completion
from s3sftp.runtime.quota import ByteQuota

Extent = tuple[int, int]
_FULL = "no space left on the server for this transfer"


def add_extent(extents: list[Extent], start: int, stop: int) -> list[Extent]:
    """Add `[start, stop)` to sorted, disjoint extents; touching extents are joined. Pure."""
    apart = [e for e in extents if e[1] < start or e[0] > stop]
    touching = [e for e in extents if not (e[1] < start or e[0] > stop)]
    joined = (min([start, *(e[0] for e in touching)]), max([stop, *(e[1] for e in touching)]))
    return sorted([*apart, joined])


def covered_bytes(extents: list[Extent]) -> int:
    return sum(stop - start for start, stop in extents)


class SpoolQuota(ByteQuota):
    """The disk that all spool files use together. `directory` is where they are; None: the system's."""

    def __init__(self, directory: Path | None, total: int) -> None:
        super().__init__(total)
        self.directory = directory

    def acquire(self, count: int) -> None:
        """Use `count` more bytes.

        Raises NoSpace: if that exceeds the quota.
        """
        if not self.try_acquire(count):
            raise NoSpace(_FULL)


class SpoolFile:
    """One unnamed temporary file that holds bytes at the offsets of the file being written."""

    def __init__(self, quota: SpoolQuota, file: IO[bytes]) -> None:
        self._quota = quota
        self._file = file
        self.extents: list[Extent] = []

    @classmethod
    async def open(cls, quota: SpoolQuota) -> SpoolFile:
        """Make the file. It has no name, so nothing is left behind however the server ends."""
        with _understood():
            return cls(quota, await asyncio.to_thread(tempfile.TemporaryFile, dir=quota.directory))

    async def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Store bytes at an offset.

        Raises NoSpace: if the spool's quota or the disk is full.
        """
        extents = add_extent(self.extents, offset, offset + len(data))
        more = covered_bytes(extents) - covered_bytes(self.extents)
        self._quota.acquire(more)
        try:
            with _understood():
                # the thread continues if this is cancelled, and needs the file open until it has ended
                await run_to_completion(asyncio.to_thread(self._write_all, offset, bytes(data)))
        except asyncio.CancelledError:
            self.extents = extents
            raise
        except StorageError:
            self._quota.release(more)
            raise
        self.extents = extents

    async def read(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, which one extent must cover."""
        with _understood():
            return await asyncio.to_thread(os.pread, self._file.fileno(), stop - start, start)

    def mapped(self, size: int) -> memoryview:
        """A read-only view of the first `size` bytes, which are read when they are accessed. Stays valid
        after `close`."""
        return memoryview(mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ))

    def next_extent(self, offset: int) -> Extent | None:
        """The extent that contains `offset` or is the first after it, without what is before `offset`."""
        return next(((max(a, offset), b) for a, b in self.extents if b > offset), None)

    def cut_off(self, size: int) -> None:
        """Discard all bytes from `size` on."""
        kept = [(a, min(b, size)) for a, b in self.extents if a < size]
        self._quota.release(covered_bytes(self.extents) - covered_bytes(kept))
        self.extents = kept

    def close(self) -> None:
        """Free the disk space."""
        self.cut_off(0)
        self._file.close()

    def _write_all(self, offset: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file.fileno(), rest, offset)
            rest, offset = rest[written:], offset + written


@contextmanager
def _understood() -> Iterator[None]:
    """Turn the disk's OSErrors into errors of the tree."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpace(_FULL, detail=str(error)) from error
        raise StorageFailure("the server's spool failed", detail=str(error)) from error
