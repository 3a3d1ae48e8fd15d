"""Frames on a stream: four bytes of length, big-endian, then one msgpack map."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

from s3sftp.backends.service.handshake import MAX_HELLO_BYTES
from s3sftp.backends.service.packing import MalformedMessage, pack, unpack

_LENGTH = struct.Struct(">I")
_SHORT_BYTES = 16 << 10
_CONTENTS = (bytes, bytearray, memoryview)
STREAM_BYTES = 256 << 10
"""What a stream reads before anybody wants it; a frame that is longer is put together as it comes."""


class FrameTooLong(Exception):
    """The other end does not take frames of this length; nothing was sent."""

    def __init__(self, length: int, most: int) -> None:
        super().__init__(f"a frame of {length} bytes, and the other end takes {most}")


class FrameStream:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()
        self.max_received_bytes = MAX_HELLO_BYTES
        self.max_sent_bytes = MAX_HELLO_BYTES

    async def receive(self) -> dict[str, Any] | None:
        """The next map; None when the other end has gone. Raises Malformed: then nothing that comes after
        it can be understood."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > self.max_received_bytes:
                raise MalformedMessage(
                    f"a frame of {length} bytes, at most {self.max_received_bytes} are taken"
                )
            return unpack(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def send(self, value: dict[str, Any]) -> None:
        """Send a map, after those before it, as soon as the other end has taken most of them.

        Raises FrameTooLong, OSError. If it is cancelled or fails, nothing was sent.
        """
        async with self._sending:
            await self._writer.drain()
            if self._writer.is_closing():
                raise ConnectionResetError
            self._check(sum(len(each) for each in value.values() if isinstance(each, _CONTENTS)))
            frame = pack(value)  # not before: what waits here would be in memory twice
            self._check(len(frame))
            self._write(frame)

    def post(self, value: dict[str, Any]) -> None:
        """Send a short map without waiting for anything. One for a connection that is gone is dropped."""
        if not self._writer.is_closing():
            self._write(pack(value))

    def close(self) -> None:
        """Hang up; what was not sent yet is dropped."""
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Wait until it is closed."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _check(self, length: int) -> None:
        if length > self.max_sent_bytes:
            raise FrameTooLong(length, self.max_sent_bytes)

    def _write(self, frame: bytes) -> None:
        length = _LENGTH.pack(len(frame))
        if len(frame) > _SHORT_BYTES:  # not worth a copy
            self._writer.write(length)
            self._writer.write(frame)
        else:
            self._writer.write(length + frame)
