"""A request body over bytes in memory, without a copy."""

from __future__ import annotations

import io

from s3sftp.backends.contract import Buffer

SLICE_BYTES = 256 << 10


class RequestBody(io.BytesIO):
    """Reads as a file over `data`, which must not change until the request is over.

    A file, not bytes: aiohttp then sends slices and lets other tasks run in between. A BytesIO by type only
    (that is what aiohttp reads without a thread); the bytes themselves are never copied.
    """

    def __init__(self, data: Buffer) -> None:
        super().__init__()
        self._data = memoryview(data).cast("B")
        self._position = 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, size: int | None = -1, /) -> bytes:
        """The next slice; larger than asked for when aiohttp asks for its small default."""
        start = self._position
        if size is None or size < 0:
            stop = len(self._data)
        else:
            stop = min(len(self._data), start + max(size, SLICE_BYTES))
        self._position = stop
        return self._data[start:stop]  # type: ignore[return-value]  # bytes-like is enough for all readers

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def getbuffer(self) -> memoryview:
        return self._data[:]

    def getvalue(self) -> bytes:
        return bytes(self._data)
