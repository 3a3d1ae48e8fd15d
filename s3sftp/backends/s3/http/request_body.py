"""Wraps bytes in memory as the body of a request, without a copy."""

from __future__ import annotations

import io

from s3sftp.backends.contract import Buffer

SLICE_BYTES = 256 << 10


class RequestBody(io.BytesIO):
    """A file over `data`, which must not change until the request has ended.

    It is a file because aiohttp then sends slices and lets other tasks run in between. It is a BytesIO only
    by type, because aiohttp reads that without a thread; the bytes themselves are never copied.
    """

    def __init__(self, data: Buffer) -> None:
        super().__init__()
        self._data = memoryview(data).cast("B")
        self._position = 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next slice, which is larger than requested if aiohttp requests its small default."""
        start = self._position
        if size is None or size < 0:
            stop = len(self._data)
        else:
            stop = min(len(self._data), start + max(size, SLICE_BYTES))
        self._position = stop
        return self._data[start:stop]  # type: ignore[return-value]  # all readers accept bytes-like objects

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
