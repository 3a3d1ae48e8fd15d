"""Selects the received requests that a session still processes when the server ends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from s3sftp.errors import InvalidRequest
from s3sftp.fs import OpenWriter
from s3sftp.sftp.codec import BadMessage, BadPacket, FieldReader, PacketReader, PacketType
from s3sftp.sftp.handles import HandleTable


class DrainReader(PacketReader):
    """Replaces the `PacketReader` of a session that ends.

    Returns the requests up to the last CLOSE of an upload. Later requests, and bytes that arrive from now on,
    are dropped.
    """

    def __init__(self, reader: PacketReader, handles: HandleTable, taken: Callable[[], None]) -> None:
        """`taken` is called when `next` returns the last request."""
        super().__init__(0)
        self.packets = reader.packets
        self._requests: deque[bytes] = deque()
        self._taken = taken
        kept = 0
        with suppress(BadPacket):  # the packets before the bad one are still valid
            for number in count(1):
                if (packet := reader.next()) is None:
                    break
                self._requests.append(packet)
                if _closes_upload(packet, handles):
                    kept = number
        while len(self._requests) > kept:
            self._requests.pop()

    def __len__(self) -> int:
        """Requests that have not been taken."""
        return len(self._requests)

    def feed(self, data: bytes | memoryview) -> None:
        """Drop the bytes."""

    def next(self) -> bytes | None:
        if not self._requests:
            return None
        packet = self._requests.popleft()
        if not self._requests:
            self._taken()
        return packet


def _closes_upload(packet: bytes, handles: HandleTable) -> bool:
    if packet[0] != PacketType.CLOSE:
        return False
    fields = FieldReader(packet)
    try:
        fields.u32()
        return isinstance(handles.find(fields.view()).opened, OpenWriter)
    except (BadMessage, InvalidRequest):
        return False
