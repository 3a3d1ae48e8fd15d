"""Frames messages on a stream: four bytes of length, big-endian, then one msgpack map.

Texts are in UTF-8; names and contents are bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

from s3sftp.errors import ConfigurationError

try:
    import msgpack
except ImportError:  # installed by the extra `service`
    msgpack = None


_LENGTH = struct.Struct(">I")
_SHORT_BYTES = 16 << 10
_CONTENTS = (bytes, bytearray, memoryview)
STREAM_BYTES = 256 << 10
"""Bytes that a stream buffers ahead of its reader. A longer frame is assembled as it arrives."""
MAX_HELLO_BYTES = 64 << 10
"""Maximum frame of a peer that has not sent its hello yet."""


class MalformedMessage(Exception):
    """A message does not follow the protocol. The text is for the log."""


def require_msgpack() -> None:
    """Raises ConfigurationError: if msgpack is not installed."""
    if msgpack is None:
        raise ConfigurationError(
            ["a storage service needs msgpack, which is not installed: pip install 's3sftp[service]'"]
        )


def pack(value: dict[str, Any]) -> bytes:
    """Encode a map whose texts are `plain`."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> dict[str, Any]:
    """Decode the map in a frame. Sizes are bounded by the length of `data`.

    Raises MalformedMessage: if it is anything else.
    """
    try:
        value = msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not msgpack: {type(error).__name__}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedMessage("not a map with texts as keys")
    return value


def plain(text: str) -> str:
    """The text with everything that is not valid Unicode, such as undecodable bytes of a client, replaced by
    `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


class FrameTooLong(Exception):
    """The peer does not accept frames of this length; nothing was sent."""

    def __init__(self, length: int, most: int) -> None:
        super().__init__(f"a frame of {length} bytes, and the other end takes {most}")


class FrameStream:
    """One end of a connection, as a stream of frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()
        self.max_received_bytes = MAX_HELLO_BYTES
        self.max_sent_bytes = MAX_HELLO_BYTES

    async def receive(self) -> dict[str, Any] | None:
        """The next map; None if the peer has closed the connection.

        Raises MalformedMessage: if the bytes are not a valid frame; then nothing after it can be decoded.
        """
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
        """Send a map, once the peer has read most of those before it.

        If it is cancelled or fails, nothing was sent.

        Raises FrameTooLong: if the peer does not accept a frame of this length.
        Raises OSError: if the connection is gone.
        """
        async with self._sending:
            await self._writer.drain()
            if self._writer.is_closing():
                raise ConnectionResetError
            self._check(sum(len(each) for each in value.values() if isinstance(each, _CONTENTS)))
            frame = pack(value)  # not earlier: a waiting message would be in memory twice
            self._check(len(frame))
            self._write(frame)

    def post(self, value: dict[str, Any]) -> None:
        """Send a short map without waiting. It is dropped if the connection is gone."""
        if not self._writer.is_closing():
            self._write(pack(value))

    def close(self) -> None:
        """Close the connection and drop what has not been sent."""
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
        if len(frame) > _SHORT_BYTES:  # a shorter one is cheaper to copy
            self._writer.write(length)
            self._writer.write(frame)
        else:
            self._writer.write(length + frame)
