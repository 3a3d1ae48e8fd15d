"""Cuts pieces of any size into chunks of exactly the size that an upload requires."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from s3sftp.backends.contract import Buffer, FileInfo, Place, Session, Upload, WriteIntent
from s3sftp.errors import StorageFailure

ReadRange = Callable[[Place, int, int, str | None, Session], AsyncIterator[Buffer]]
"""`RangedReads.read_file_range`."""


class Rechunker:
    """Writes one chunk after the other. The last bytes stay in `rest`: they are the tail if nothing
    follows."""

    def __init__(self, upload: Upload, write: Callable[[Buffer], Awaitable[None]]) -> None:
        self.rest = bytearray()
        self._upload = upload
        self._write = write

    async def put(self, data: Buffer) -> None:
        """Append bytes, and write every chunk that is full."""
        self.rest += data
        while len(self.rest) > self._upload.chunk_bytes:
            size = self._upload.chunk_bytes
            chunk = bytes(self.rest[:size])
            del self.rest[:size]
            await self._write(chunk)


def base_of(intent: WriteIntent) -> FileInfo:
    """The file of which bytes are kept."""
    if intent.base is None:
        raise StorageFailure(detail="bytes of an old file are to be kept, and there is none")
    return intent.base
