"""Encodes and decodes the packets of SFTP version 3. Pure.

Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions. All integers are big-endian;
a string is a uint32 length and that many bytes; a packet is a uint32 length, a type byte, and its fields.
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from typing import TypeAlias

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_HEAD = struct.Struct(">IBI")

Answer: TypeAlias = bytes | list[bytes | memoryview]
"""A whole answer packet, or its pieces in order."""

VERSION = 3
PACKET_OVERHEAD = 1024
"""The bytes allowed in a packet beside the data of a READ or WRITE: type, id, handle, offset, lengths."""
_LARGE_PIECE_BYTES = 4096
"""Shorter pieces of the stream are merged, so that single bytes do not cost an object each."""


class PacketType(enum.IntEnum):
    """The type byte of a packet."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class OpenFlag(enum.IntFlag):
    """The `pflags` field of OPEN."""

    READ = 0x01
    WRITE = 0x02
    APPEND = 0x04
    CREAT = 0x08
    TRUNC = 0x10
    EXCL = 0x20


class BadPacket(Exception):
    """The bytes are not a packet of this protocol. The session has to end."""


class BadMessage(Exception):
    """The packet does not contain the fields of its type. The request is answered with BAD_MESSAGE."""


class PacketReader:
    """Splits a stream of bytes into packets. Holds at most one packet in addition to the last bytes fed."""

    def __init__(self, max_packet_bytes: int) -> None:
        self._max = max_packet_bytes
        self._chunks: deque[bytes | bytearray | memoryview] = deque()
        self._at = 0
        """How many bytes of the first chunk have been consumed."""
        self._left = 0
        self._awaited: int | None = None
        """Length in bytes of the packet being received, once it is known."""
        self.packets = 0
        """How many packets `next` has returned."""

    def feed(self, data: bytes | memoryview) -> None:
        """Add bytes, which the caller must not change afterwards: large pieces are kept without copying."""
        self._left += len(data)
        if len(data) >= _LARGE_PIECE_BYTES:
            self._chunks.append(data)
        elif self._chunks and isinstance(self._chunks[-1], bytearray):
            self._chunks[-1] += data
        elif data:
            self._chunks.append(bytearray(data))

    def __len__(self) -> int:
        """Bytes in the buffer."""
        return self._left

    def next(self) -> bytes | None:
        """The next packet without its length field, or None if it is not complete.

        Raises BadPacket: if its length is 0 or above the maximum.
        """
        if self._awaited is None:
            if self._left < _U32.size:
                return None
            (length,) = _U32.unpack(self._take(_U32.size))
            if not 1 <= length <= self._max:
                raise BadPacket(f"packet of {length} bytes (1 to {self._max} are allowed)")
            self._awaited = length
        if self._left < self._awaited:
            return None
        packet, self._awaited = self._take(self._awaited), None
        self.packets += 1
        return packet

    def _take(self, count: int) -> bytes:
        """Remove the next `count` bytes. Copies them once."""
        self._left -= count
        piece = self._next_piece(count)
        if len(piece) == count:
            return bytes(piece)
        pieces = [piece]
        while count := count - len(piece):
            piece = self._next_piece(count)
            pieces.append(piece)
        return b"".join(pieces)

    def _next_piece(self, most: int) -> memoryview:
        """Remove up to `most` bytes of the first chunk."""
        chunk, start = self._chunks[0], self._at
        end = start + most
        if end < len(chunk):
            self._at = end
        else:
            self._chunks.popleft()
            self._at = 0
        return memoryview(chunk)[start:end]


class FieldReader:
    """Reads the fields of one packet in order. Every method raises BadMessage if the packet is too short."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 1

    def u32(self) -> int:
        return self._number(_U32)

    def u64(self) -> int:
        return self._number(_U64)

    def string(self) -> bytes:
        return bytes(self.view())

    def view(self) -> memoryview:
        """The next string, without copying it: the view keeps the packet in memory."""
        length = self._number(_U32)
        end = self._at + length
        view = memoryview(self._data)[self._at : end]
        if len(view) < length:
            raise BadMessage(f"packet ends {length - len(view)} bytes too early")
        self._at = end
        return view

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def _number(self, coded: struct.Struct) -> int:
        try:
            (value,) = coded.unpack_from(self._data, self._at)
        except struct.error:
            raise BadMessage(f"packet ends {coded.size - self.left} bytes too early") from None
        self._at += coded.size
        return int(value)


def u32(value: int) -> bytes:
    return _U32.pack(value)


def u64(value: int) -> bytes:
    return _U64.pack(value)


def string(value: bytes) -> bytes:
    return _U32.pack(len(value)) + value


def packet(kind: PacketType, request_id: int, *fields: bytes) -> bytes:
    """Encode a whole answer: length, type, request id, fields."""
    body = b"".join(fields)
    return _HEAD.pack(5 + len(body), kind, request_id) + body


def data_packet(request_id: int, views: list[memoryview]) -> list[bytes | memoryview]:
    """Encode a DATA answer as a list of pieces. Its bytes are copied only when they are encrypted."""
    length = sum(map(len, views))
    head = _HEAD.pack(9 + length, PacketType.DATA, request_id) + _U32.pack(length)
    return [head, *map(_let_go, views)]


def _let_go(view: memoryview) -> bytes | memoryview:
    """Copy a view of less than half of its buffer, because a view keeps the whole buffer in memory."""
    return view if 2 * view.nbytes >= memoryview(view.obj).nbytes else bytes(view)


def version_packet(extensions: list[tuple[bytes, bytes]]) -> bytes:
    body = u32(VERSION) + b"".join(string(name) + string(data) for name, data in extensions)
    return u32(1 + len(body)) + bytes([PacketType.VERSION]) + body
