"""Exchanges messages between supervisor and worker over a Unix socket that preserves packet boundaries.

A packet may carry a file descriptor. Neither side ever waits for the other: packets that the socket does not
accept now are queued, and `blocked` reports it. The connection limits bound the queue.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.workers.messages import MAX_BYTES, BadIpcMessage, IpcMessage, decode, encode

_log = get_logger("s3sftp.workers")
_AT_ONCE = 64
"""Packets received before other callbacks of the event loop run."""
_INT = struct.calcsize("i")
_GONE = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN})

OnMessage = Callable[[IpcMessage, int | None], None]
"""Called with a message and the descriptor that came with it, which the callee closes. The descriptor may be
missing although one was sent: this process had too many open files."""


class Transferable(Protocol):
    """A socket or a file whose descriptor is transferred."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


def ipc_socket_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new connection, not inheritable."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class IpcConnection:
    """One end of the connection. `ended` is called once, when the other side has closed its end."""

    def __init__(self, end: socket.socket, received: OnMessage, ended: Callable[[], None]) -> None:
        end.setblocking(False)
        self._socket = end
        self._received = received
        self._ended = ended
        self._waiting: deque[tuple[bytes, Transferable | None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._losses = LogThrottle()
        self._loop.add_reader(end.fileno(), self._read)

    @property
    def blocked(self) -> bool:
        """Whether the other side does not keep up, or has closed its end."""
        return bool(self._waiting) or not self._open

    def send(self, message: IpcMessage, carried: Transferable | None = None) -> None:
        """Send a message, or queue it until the other side has caught up.

        `carried` is closed here once it has been sent. If the other side has closed its end, nothing is sent.

        Raises BadIpcMessage: if the message is longer than MAX_BYTES.
        """
        packet = encode(message)
        if len(packet) > MAX_BYTES:
            raise BadIpcMessage("too long to be sent")
        if not self._open:
            _close(carried)
            return
        self._waiting.append((packet, carried))
        if len(self._waiting) == 1:
            self._write()

    def close(self) -> None:
        """Close this end. `ended` is not called."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        while self._waiting:
            _close(self._waiting.popleft()[1])

    def _write(self) -> None:
        while self._waiting:
            packet, carried = self._waiting[0]
            try:
                if carried is None:
                    self._socket.send(packet)
                else:
                    socket.send_fds(self._socket, [packet], [carried.fileno()])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._socket.fileno(), self._write)
                return
            except OSError as error:
                if carried is None or error.errno in _GONE:
                    self._end()
                    return
                # too many descriptors are in flight: the message is sent without one, and its receiver
                # handles that
                self._log_lost(error)
                self._waiting[0] = (packet, None)
                _close(carried)
                continue
            self._waiting.popleft()
            _close(carried)
        self._loop.remove_writer(self._socket.fileno())

    def _log_lost(self, error: OSError) -> None:
        suppressed = self._losses.allow("connection.handover_failed", self._loop.time())
        if suppressed is not None:
            _log.error("connection.handover_failed", error=str(error), suppressed=suppressed)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._open:
                return
            try:
                packet, carried = self._receive()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                packet, carried = b"", None
            if not packet:
                self._end()
                return
            self._take(packet, carried)

    def _receive(self) -> tuple[bytes, int | None]:
        """A packet and its descriptor, which is not inherited (`socket.recv_fds` forgets its flags)."""
        packet, ancillary, _, _ = self._socket.recvmsg(
            MAX_BYTES, socket.CMSG_LEN(_INT), socket.MSG_CMSG_CLOEXEC
        )
        carried = [
            int.from_bytes(data[:_INT], sys.byteorder)
            for level, kind, data in ancillary
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(data) >= _INT
        ]
        return packet, carried[0] if carried else None

    def _take(self, packet: bytes, descriptor: int | None) -> None:
        try:
            message = decode(packet)
        except BadIpcMessage as error:
            _log.error("worker.message_invalid", detail=str(error))
            if descriptor is not None:
                os.close(descriptor)
            self._end()
            return
        self._received(message, descriptor)

    def _end(self) -> None:
        if self._open:
            self.close()
            self._loop.call_soon(self._ended)


def _close(carried: Transferable | None) -> None:
    if carried is not None:
        carried.close()
