"""An upload's state: the position of the next chunk, and the pieces that are still missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.backends.contract import FileInfo, Place, Upload, WriteIntent
from s3sftp.backends.local.uncommitted_file import UncommittedFile
from s3sftp.errors import InvalidRequest

PARALLEL_CHUNKS = 4


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

    def publish(self, *, mtime: float | None, exclusive: bool, base: str | None) -> FileInfo:
        """Publish the file, in a thread. `stored` is set even if the caller has been cancelled."""
        self.stored = self.file.publish(mtime=mtime, exclusive=exclusive, base=base)
        return self.stored

    def must_run(self) -> None:
        if self._ended:
            raise contract_violation("a call after the upload's end")

    def end(self) -> None:
        self._ended = True


def contract_violation(what: str) -> InvalidRequest:
    """The error for a caller that broke the contract: a fault of the server, never of the client."""
    return InvalidRequest("invalid write", detail=what)
