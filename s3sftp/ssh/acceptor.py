"""Accepts TCP connections, has the admission gate decide on each, and hands admitted ones to a handler.

A queued connection costs one socket: no byte has been sent to it, and no SSH state exists for it. While no
handler can serve, or descriptors are short, no connection is accepted: they stay in the kernel's backlog.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from s3sftp.ssh import file_descriptors
from s3sftp.ssh.admission_gate import LocalAdmittedConnection, Peer, ServerAdmissionGate
from s3sftp.ssh.listening_sockets import BACKLOG
from s3sftp.ssh.options import ListenOptions
from s3sftp.ssh.trusted_proxies import TrustedProxies
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.ssh")
_AT_ONCE = 64
"""Connections accepted before other callbacks of the event loop run."""
_PAUSE_SECONDS = 0.2
"""Seconds to leave the listening sockets alone when no connection can be accepted."""
_LOG_SECONDS = 60.0
"""Minimum interval of the log line that no connection can be accepted."""
_CHECK_SECONDS = 0.1
"""How often to check whether a queued connection has waited too long, is blocked by others, or has closed."""
_HANG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)
"""The peer has closed its side. On kernels that cannot report this alone: both sides are closed."""
_VERSION_BYTES = 256
"""A client's version and its line break are no longer than this (RFC 4253, 4.2)."""


class ConnectionHandler(Protocol):
    """Serves the connections that are admitted."""

    def can_serve(self) -> bool:
        """Whether a connection can be handed over now."""

    def serve(self, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        """Serve the connection, and set its `expel` to what disconnects it. Call only while `can_serve`."""


class Acceptor:
    """Accepts connections. Call `resume` when the handler can serve again."""

    def __init__(
        self,
        gate: ServerAdmissionGate,
        listen: ListenOptions,
        sockets: Sequence[socket.socket],
        handler: ConnectionHandler,
        other_descriptors: int,
    ) -> None:
        """`other_descriptors`: file descriptors that the rest of the process opens."""
        self._gate = gate
        self._sockets = list(sockets)
        self._handler = handler
        self._other_descriptors = other_descriptors
        self._proxies = TrustedProxies(listen, self._identified, gate.count_refused)
        self._held: deque[tuple[socket.socket, Peer]] = deque()
        """Connections whose PROXY header arrived while the handler could not serve them."""
        self._waiting: dict[LocalAdmittedConnection, socket.socket] = {}
        self._partly: set[LocalAdmittedConnection] = set()
        """Queued connections that have sent a part of their version and must be checked again."""
        self._accepting = False
        self._open = False
        self._shortages = LogThrottle(_LOG_SECONDS)
        self._shortage_logged = False
        """The last logged state is that no connection can be accepted."""
        self._pause_timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None
        self._next_scheduled: asyncio.Handle | None = None
        gate.changed = self._schedule_next

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1]) if self._sockets and self._open else 0

    def open(self) -> None:
        """Start to listen."""
        for each in self._sockets:
            each.listen(BACKLOG)
        self._open = True
        self.resume()

    def resume(self) -> None:
        """Continue to hand connections over."""
        if not self._open or not self._handler.can_serve():
            return
        self._schedule_next()
        if not self._accepting and self._pause_timer is None:
            self._accepting = True
            for each in self._sockets:
                asyncio.get_running_loop().add_reader(each.fileno(), self._accept, each)

    def close(self) -> None:
        """Accept no more connections, and disconnect those that are queued."""
        self._pause()
        self._open = False
        self._gate.closed = True
        for handle in (self._pause_timer, self._check_timer, self._next_scheduled):
            if handle is not None:
                handle.cancel()
        for each in self._sockets:
            each.close()
        self._proxies.close()
        while self._held:
            self._held.popleft()[0].close()
        for admitted in list(self._waiting):
            admitted.expel("the server is stopping")
            admitted.leave()

    # -- accepting

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for each in self._sockets:
                asyncio.get_running_loop().remove_reader(each.fileno())

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if not self._handler.can_serve():
                self._pause()
                asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.resume)  # it may only be behind
                return
            if not file_descriptors.has_room(listening.fileno(), self._other_descriptors):
                self._run_short("too few file descriptors are left")
                return
            try:
                sock, name = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._run_short(str(error))
                return
            self._proxies.accept(sock, Peer.of(name))
        self._end_shortage()

    def _identified(self, sock: socket.socket, peer: Peer) -> None:
        """Handle a connection whose client address is known."""
        if self._held or not self._handler.can_serve():
            self._held.append((sock, peer))
            if len(self._held) == 1:
                asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._admit_held)
        else:
            self._admit(sock, peer)

    def _admit_held(self) -> None:
        while self._held and self._handler.can_serve():
            self._admit(*self._held.popleft())
        if self._held:
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._admit_held)

    def _admit(self, sock: socket.socket, peer: Peer) -> None:
        admitted = self._gate.arrive(peer)
        if admitted is None:
            sock.close()
        elif admitted.is_admitted:
            self._handler.serve(admitted, sock)
        else:
            self._enqueue(admitted, sock)

    def _run_short(self, why: str) -> None:
        suppressed = self._shortages.allow("short", asyncio.get_running_loop().time())
        if suppressed is not None:
            self._shortage_logged = True
            _log.error(
                "listener.paused",
                error=why,
                limit=file_descriptors.limit(),
                detail="new connections wait; raise the limit of open files, or lower ssh.max_connections",
            )
        self._pause_briefly()

    def _end_shortage(self) -> None:
        if self._shortage_logged:
            self._shortage_logged = False
            _log.info("listener.resumed")

    def _pause_briefly(self) -> None:
        self._pause()
        self._pause_timer = asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._pause_ended)

    def _pause_ended(self) -> None:
        self._pause_timer = None
        if self._shortage_logged and file_descriptors.has_room(
            self._sockets[0].fileno(), self._other_descriptors
        ):
            self._end_shortage()
        self.resume()

    # -- waiting

    def _enqueue(self, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._waiting[admitted] = sock
        admitted.expel = lambda reason: self._dismiss(admitted, reason)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._received, admitted, sock)
        self._schedule_next()
        if self._check_timer is None:
            self._check_timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check_waiting)

    def _received(self, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        """Handle that the client has sent its version or a part of it, or has closed."""
        try:
            sent = sock.recv(_VERSION_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            sent = b""
        if not sent:
            self._gone(admitted)
            return
        # data that stays in the socket would trigger the reader again and again
        asyncio.get_running_loop().remove_reader(sock.fileno())
        if b"\n" in sent:
            self._partly.discard(admitted)
            admitted.version_received()
        else:
            self._partly.add(admitted)

    def _gone(self, admitted: LocalAdmittedConnection) -> None:
        self._forget(admitted)
        admitted.leave()

    def _hung_up(self) -> list[LocalAdmittedConnection]:
        """Queued connections whose client has closed its side. `recv` does not report that behind unread
        data."""
        poll = select.poll()
        by_descriptor: dict[int, LocalAdmittedConnection] = {}
        for admitted, sock in self._waiting.items():
            poll.register(sock, _HANG_UP)
            by_descriptor[sock.fileno()] = admitted
        with suppress(OSError):  # more descriptors than the limit of open files, which was lowered
            return [by_descriptor[number] for number, _ in poll.poll(0)]
        return []

    def _dismiss(self, admitted: LocalAdmittedConnection, reason: str) -> None:
        self._gate.log_refused(admitted.peer, reason)
        self._forget(admitted)

    def _forget(self, admitted: LocalAdmittedConnection) -> None:
        sock = self._waiting.pop(admitted, None)
        self._partly.discard(admitted)
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()

    def _check_waiting(self) -> None:
        self._check_timer = None
        for admitted in self._hung_up():
            self._gone(admitted)
        for admitted in list(self._partly):
            self._received(admitted, self._waiting[admitted])
        self._next()
        if self._waiting:
            self._check_timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check_waiting)

    def _schedule_next(self) -> None:
        if self._next_scheduled is None and self._waiting:
            self._next_scheduled = asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Hand over the connections whose turn has come."""
        self._next_scheduled = None
        while self._waiting and self._handler.can_serve() and (admitted := self._gate.next()) is not None:
            sock = self._waiting.pop(admitted)
            self._partly.discard(admitted)
            asyncio.get_running_loop().remove_reader(sock.fileno())
            self._handler.serve(admitted, sock)
