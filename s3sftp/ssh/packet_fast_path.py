"""The fast path for data packets: the same bytes on the wire as asyncssh's, at less cost.

    socket ─► _recv_pkthdr ─► data of an open channel, its window ─► session
                   └────────► anything else ─► asyncssh's own code
    session ─► PacketChannel.write ─► _seal ─► one buffer for each turn of the loop ─► socket

asyncssh sends an empty IGNORE packet before each packet (a remedy for CBC ciphers), creates a cipher object
or derives a MAC's state for each, copies its bytes about ten times and passes each to the socket separately.
With AES-GCM, and with AES in counter mode and an HMAC, this module does none of that. Key exchange, login,
every other packet, every other cipher and every error are asyncssh's: a connection leaves its code only for
data under these ciphers (`ssh/fast_ciphers.py`) without compression.

The module replaces private methods of asyncssh, so it is bound to the versions that it was checked against
(`tests/ssh/test_packet_fast_path.py` compares the code that it replaces) and is inactive with any other
version. docs/decisions/0012 explains why this is neither a fork nor an SSH server of our own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, TypeAlias, cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST, MSG_IGNORE, MSG_USERAUTH_LAST
from asyncssh.misc import MACError
from asyncssh.packet import SSHPacketLogger, String, UInt32

from s3sftp.ssh.fast_ciphers import upgraded
from s3sftp.ssh.packet_buffers import GATHER_BYTES, HEADROOM_BYTES, padding, receiving, sending
from s3sftp.ssh.packet_cipher import BLOCK_BYTES, LENGTH_BYTES, PacketCipher
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.ssh")

CHECKED_VERSIONS = frozenset({"2.24.1"})
"""Versions of asyncssh whose code was compared with this module."""
_DATA_HEAD_BYTES = 9
"""Length of a CHANNEL_DATA message's head: type, channel, length."""
_DATA_START = 1 + _DATA_HEAD_BYTES
_MIN_PADDING = 4
_LITTLE_BYTES = 4096
_LOGS_PACKETS = 3
"""The debug level of asyncssh at which it logs each packet."""
_TURNS = 3
"""Turns of the loop that a small amount may wait for more, while the client keeps sending."""
_FILLS = [bytes((count,)) for count in range(_MIN_PADDING + BLOCK_BYTES)]

Message: TypeAlias = list[bytes | memoryview]
"""A message in pieces."""


def _data_head(number: int, size: int) -> bytes:
    return (MSG_CHANNEL_DATA << 64 | number << 32 | size).to_bytes(_DATA_HEAD_BYTES, "big")


def is_supported() -> bool:
    """Whether the installed version of asyncssh was checked. Logs it if not."""
    if asyncssh.__version__ in CHECKED_VERSIONS:
        return True
    _log.warning(
        "server.fast_path_disabled", reason="unknown version of asyncssh", version=asyncssh.__version__
    )
    return False


def use_fast_path(conn: asyncssh.SSHServerConnection) -> None:
    """Put a connection that has sent nothing yet on the fast path.

    asyncssh creates its connections and channels itself, of classes that cannot be chosen. A subclass
    without slots of its own may replace an object's class, and methods looked up from then on are the
    subclass's.
    """
    if logging.getLogger("asyncssh").isEnabledFor(logging.DEBUG):
        return  # asyncssh's own code has to log each packet
    conn.__class__ = PacketConnection
    cast(PacketConnection, conn)._begin()


class PacketConnection(asyncssh.SSHServerConnection, asyncio.BufferedProtocol):
    """An asyncssh connection whose data packets take the fast path."""

    # asyncssh says `Encryption | None` and `bytes`; each packet would pay for a cast that says more
    _send_encryption: Any
    _recv_encryption: Any
    _inpbuf: Any

    def _begin(self) -> None:
        if self._transport is not None:
            self._transport.set_protocol(self)  # makes it check again for `get_buffer`
        self._gathered: memoryview | None = None
        self._gathered_bytes = 0
        self._flush_is_due = False
        self.is_last = False
        """Nothing follows what is being sent, so that it need not wait."""
        self._came_since = False
        """Something was received since `_flush_due` last ran."""
        self._turns_left = 0

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        super().send_newkeys(k, h)
        self._send_encryption = upgraded(self._send_encryption)
        self._next_recv_encryption = upgraded(self._next_recv_encryption)

    def create_server_channel(self, *args: Any, **options: Any) -> asyncssh.SSHServerChannel[Any]:
        channel = super().create_server_channel(*args, **options)
        channel.__class__ = PacketChannel
        return channel

    def _log_packet(self, *described: Any) -> None:
        if self._logger._debug_level >= _LOGS_PACKETS:
            super()._log_packet(*described)

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype == MSG_IGNORE and isinstance(self._send_encryption, PacketCipher):
            return
        if pkttype > MSG_USERAUTH_LAST and self._may_seal():
            self._seal([[bytes((pkttype,)), *args]])
        else:
            super().send_packet(pkttype, *args, handler=handler)

    def send_data(self, channel: PacketChannel, number: int, messages: list[Message]) -> None:
        """Send CHANNEL_DATA messages (RFC 4254, 5.2), each with its head."""
        sealed = self._seal(messages) if self._may_seal() else 0
        for _head, *data in messages[sealed:]:
            text = String(b"".join(data))
            super().send_packet(MSG_CHANNEL_DATA, UInt32(number), text, handler=channel)

    def _may_seal(self) -> bool:
        """Whether a packet may be sent now: no key exchange is in progress or due, and there is no
        compression."""
        return (
            isinstance(self._send_encryption, PacketCipher)
            and self._kex_complete
            and self._auth_complete
            and self._compressor is None
            and self._rekey_bytes_sent < self._rekey_bytes
            and not (self._rekey_seconds and time.monotonic() >= self._rekey_time)
        )

    def _seal(self, messages: list[Message]) -> int:
        """Send each message as a packet (RFC 4253, 6): length in the clear, then padding length, message,
        padding.

        Returns how many were sent: it stops after the one that makes new keys due. Call only if the first may
        be sealed; between packets only the bytes that they count can change that.
        """
        cipher: PacketCipher = self._send_encryption
        pad = padding.next
        around, padded = LENGTH_BYTES + cipher.tag_bytes, cipher.padded_head_bytes + _MIN_PADDING
        sent = self._rekey_bytes_sent
        count = 0
        for message in messages:
            if sent >= self._rekey_bytes:
                break
            size = 1 + sum(map(len, message))
            fill = _MIN_PADDING + -(size + padded) % BLOCK_BYTES
            plain = b"".join((_FILLS[fill], *message, pad(fill)))
            size += fill
            header = size.to_bytes(LENGTH_BYTES, "big")
            seq = (self._send_seq + count) & 0xFFFF_FFFF
            cipher.seal_into(seq, header, plain, self._allocate(around + size))
            sent += size
            count += 1
        self._rekey_bytes_sent = sent
        self._send_seq = (self._send_seq + count) & 0xFFFF_FFFF
        self._gather()
        return count

    def _send(self, data: bytes) -> None:
        """Send asyncssh's own output through the same buffer, in order."""
        self._allocate(len(data))[:] = data
        self._gather()

    def _allocate(self, size: int) -> memoryview:
        """Space for the next `size` bytes to send; flushes what is buffered if they do not fit."""
        if self._gathered_bytes + size > GATHER_BYTES:
            self._flush()
        if self._gathered is None:
            self._gathered = sending.acquire(size)
        at, self._gathered_bytes = self._gathered_bytes, self._gathered_bytes + size
        return self._gathered[at : self._gathered_bytes]

    def _gather(self) -> None:
        """Schedule a flush of what was written to the buffer, by `_flush_due`."""
        if self.is_last:
            self._flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            self._came_since, self._turns_left = False, _TURNS
            self._loop.call_soon(self._flush_due)

    def _flush_due(self) -> None:
        """Flush at once if the client waits; while it keeps sending, collect small answers for a
        few turns."""
        if self._came_since and self._turns_left and self._gathered_bytes < _LITTLE_BYTES:
            self._came_since, self._turns_left = False, self._turns_left - 1
            self._loop.call_soon(self._flush_due)
            return
        self._flush_is_due = False
        self._flush()

    def _flush(self) -> None:
        gathered, size = self._gathered, self._gathered_bytes
        self._gathered, self._gathered_bytes = None, 0
        if gathered is None:
            return
        sent: Any = gathered[:size]
        super()._send(sent)
        if self._transport is None or not self._transport.get_write_buffer_size():
            sending.release(gathered)  # otherwise the transport may still hold the buffer

    def _force_close(self, exc: Exception | None) -> None:
        self._flush()  # it may contain the reason of a disconnect
        super()._force_close(exc)

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop should receive, just before it calls `buffer_updated`."""
        return receiving.view[HEADROOM_BYTES:]

    def buffer_updated(self, nbytes: int) -> None:
        """Process packets where they were received; the beginning of the first is copied in front of them."""
        self._came_since = True
        begun, end = self._inpbuf, HEADROOM_BYTES + nbytes
        if len(begun) > HEADROOM_BYTES or not self._may_open():
            self.data_received(bytes(receiving.view[HEADROOM_BYTES:end]))
            return
        start = HEADROOM_BYTES - len(begun)
        receiving.view[start:HEADROOM_BYTES] = begun
        received = receiving.view[start:end]
        self._inpbuf = received
        self._recv_data()
        if self._inpbuf is received:  # an error ended it midway
            self._inpbuf = b""

    def _may_open(self) -> bool:
        """Whether the next bytes begin a packet that may be data."""
        return (
            isinstance(self._recv_encryption, PacketCipher)
            and self._auth_complete
            and self._decompressor is None
            and self._recv_handler == self._recv_pkthdr
        )

    def _recv_pkthdr(self) -> bool:
        """At a packet boundary: handle the data packets that are complete, leave others to asyncssh."""
        return self._take_data() if self._may_open() else super()._recv_pkthdr()

    def _take_data(self) -> bool:
        """Handle one data packet. Returns whether asyncssh's loop has to continue, with a packet that is not
        data."""
        cipher: PacketCipher = self._recv_encryption
        head_bytes, around = cipher.head_bytes, LENGTH_BYTES + cipher.tag_bytes
        buffer, at = memoryview(self._inpbuf), 0
        while len(buffer) - at >= head_bytes:
            length = cipher.length_of(buffer[at : at + head_bytes])
            end = at + around + length
            if length > self._max_recv_pktlen:
                self._inpbuf = bytes(buffer[at:])
                return super()._recv_pkthdr()  # which refuses it
            if len(buffer) < end:
                break
            plain = cipher.open(self._recv_seq, buffer[at:end])
            if plain is None:
                raise MACError("MAC verification failed")
            if not self._deliver(plain):
                cipher.put_back(plain)
                self._inpbuf = bytes(buffer[at:])
                return super()._recv_pkthdr()
            at = end
            self._recv_seq = (self._recv_seq + 1) & 0xFFFF_FFFF
        self._inpbuf = bytes(buffer[at:])
        return False

    def _deliver(self, plain: bytes | memoryview) -> bool:
        """Pass data, or a window adjustment, to its channel. False if the message is something else or
        invalid.

        Both messages (RFC 4254, 5.2) begin with type, channel, and a number of bytes.
        """
        size = len(plain) - 1 - plain[0] - _DATA_HEAD_BYTES if plain else -1
        if size < 0 or not MSG_CHANNEL_WINDOW_ADJUST <= plain[1] <= MSG_CHANNEL_DATA:
            return False
        channel = self._channels.get(int.from_bytes(plain[2:6], "big"))
        if not isinstance(channel, PacketChannel):
            return False
        self._auth_final = True
        count = int.from_bytes(plain[6:10], "big")
        if plain[1] == MSG_CHANNEL_WINDOW_ADJUST:
            return size == 0 and channel.widen(count)
        return size == count and channel.receive_data(memoryview(plain)[_DATA_START : _DATA_START + size])


class PacketChannel(asyncssh.SSHServerChannel[bytes]):
    """A channel that splits what it sends into packets without copying it first."""

    _conn: PacketConnection
    _send_buf: Any
    """Of views, and no bytearrays."""

    def write(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        self.writelines([data], datatype)

    def writelines(self, list_of_data: Iterable[bytes], datatype: asyncssh.DataType = None) -> None:
        """Send the pieces as one; they must not change any more."""
        if self._send_state != "open":
            raise BrokenPipeError("channel not open for sending")
        if datatype is not None:
            raise OSError("SFTP has no standard error")
        for piece in filter(len, list_of_data):
            self._send_buf.append((memoryview(piece), None))
            self._send_buf_len += len(piece)
        self._flush_send_buf()

    def write_last(self, pieces: list[bytes]) -> None:
        """Like `writelines`, for what nothing follows soon: sent at once, not in the loop's next turn."""
        conn = self._conn
        if conn is not None:
            conn.is_last = True
        try:
            self.writelines(pieces)
        finally:
            if conn is not None:
                conn.is_last = False

    def _flush_send_buf(self) -> None:
        if self._send_buf and self._send_window and self._conn is not None and self._send_chan is not None:
            self._conn.send_data(self, self._send_chan, self._cut(self._send_chan))
        super()._flush_send_buf()  # what follows when all is sent: resume writing, EOF, close

    def _cut(self, number: int) -> list[Message]:
        """Take as much buffered data as the window allows, split into messages without copying."""
        left = min(self._send_buf_len, self._send_window)
        self._send_buf_len -= left
        self._send_window -= left
        pieces: list[tuple[memoryview, None]] = self._send_buf
        messages: list[Message] = []
        size = min(left, self._send_pktsize)
        head = _data_head(number, size)
        taken = at = 0
        while left:
            if left < size:
                size, head = left, _data_head(number, left)
            left, missing = left - size, size
            message: Message = [head]
            while missing:
                piece = pieces[taken][0]
                part = piece[at : at + missing]
                message.append(part)
                missing -= len(part)
                at += len(part)
                if at == len(piece):
                    taken, at = taken + 1, 0
            messages.append(message)
        del pieces[:taken]
        if at:
            pieces[0] = (pieces[0][0][at:], None)
        return messages

    def widen(self, count: int) -> bool:
        """Add `count` bytes to the send window. If the channel is not open, do nothing and return False."""
        if self._recv_state not in ("open", "eof_pending", "eof"):
            return False
        self._send_window += count
        self._flush_send_buf()
        return True

    def receive_data(self, data: memoryview) -> bool:
        """Accept data from the client. If the client may not send it, do nothing and return False."""
        if self._recv_state != "open" or len(data) > self._recv_window:
            return False
        accepted: Any = data
        self._accept_data(accepted)
        return True
