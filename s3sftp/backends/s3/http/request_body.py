"""Wraps bytes in memory as the body of a request, for botocore and for aiohttp, without a copy."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.http.response_fields import header_bytes

SLICE_BYTES = 256 << 10
_WITH_HEAD_BYTES: Final = 16 << 10
"""Maximum size of a body that is sent with its head in one packet."""


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


class Payload(aiohttp.Payload):
    """A body that aiohttp sends from `data`, which must not change until the request has ended.

    aiohttp may send it more than once. It also writes the `raw` headers (values decoded by `header_text`),
    because aiohttp would leave out bytes that are not UTF-8.
    """

    def __init__(self, data: memoryview, raw: Mapping[str, str]) -> None:
        super().__init__(data)
        self._size = len(data)
        self._raw = raw

    @staticmethod
    def stand_in(name: str) -> str:
        """Return the value that aiohttp writes for a raw header, until this body replaces it."""
        return f"raw-{name}"

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: Any) -> None:
        """Write the body as fast as the socket accepts it."""
        if self._raw:
            self._write_raw(writer)
        size = len(self._value)
        if size > _WITH_HEAD_BYTES:
            writer.send_headers()  # joining the head and a large body would copy the body
        for start in range(0, size, SLICE_BYTES):
            await writer.write(self._value[start : start + SLICE_BYTES])

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        """Write the body like `write`, because `content_length` is always the length of the data."""
        await self.write(writer)

    def _write_raw(self, writer: Any) -> None:
        head: bytes = writer._headers_buf
        for name, value in self._raw.items():
            field, stand_in = f"\r\n{name}: ".encode(), self.stand_in(name).encode()
            head = head.replace(field + stand_in + b"\r\n", field + header_bytes(value) + b"\r\n")
        writer._headers_buf = head
