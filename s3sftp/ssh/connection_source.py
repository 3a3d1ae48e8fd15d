"""Where a listener gets its connections from: its own sockets, or sockets that another process has accepted.

single process   Acceptor ─► LocalConnectionSource ─┐
                                                    ├─► SocketAdopter ─► asyncssh ─► Listener
worker           supervisor ─► workers.WorkerGate ──┘
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from s3sftp.ssh.acceptor import Acceptor
from s3sftp.ssh.admission_gate import (
    AdmissionGate,
    AdmittedConnection,
    Disconnect,
    LocalAdmittedConnection,
    ServerAdmissionGate,
)
from s3sftp.ssh.listening_sockets import bind
from s3sftp.ssh.options import ListenOptions
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.ssh")
A = TypeVar("A", bound=AdmittedConnection)
Factory = Callable[[str, int], Any]
"""Creates a connection of asyncssh, which passes it to `create_server`."""


class ConnectionSource(Protocol):
    """Where a listener gets its connections from, with the gate that admitted them.

    asyncssh uses it as a tunnel: it asks once for a server, and calls the factory for each connection.
    """

    @property
    def gate(self) -> AdmissionGate:
        """The gate, which knows each connection already."""

    async def create_server(self, factory: Factory, host: str, port: int) -> Any:
        """Start to hand connections over. Returns the part of an `asyncio.AbstractServer` that is needed:
        `close` and `wait_closed`."""


class SocketAdopter(Generic[A]):
    """Has asyncssh serve sockets that were accepted elsewhere, and maps its connections to admitted ones.

    Sockets are closed until `factory` is set.
    """

    def __init__(self) -> None:
        self.factory: Factory | None = None
        self._expected: dict[Any, A] = {}
        """Admitted connections that asyncssh has not announced yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def claim(self, conn: Any) -> A | None:
        """The admitted connection for a connection that asyncssh announces."""
        return self._expected.pop(conn, None)

    def adopt(self, sock: socket.socket, admitted: A) -> None:
        """Have asyncssh serve the socket. If it cannot, the connection is counted out."""
        if self.factory is None:
            sock.close()
            admitted.leave()
            return
        task = asyncio.create_task(self._adopt(sock, admitted, self.factory))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _adopt(self, sock: socket.socket, admitted: A, factory: Factory) -> None:
        conn: list[Any] = []

        def protocol() -> Any:
            conn.append(factory("", 0))
            self._expected[conn[0]] = admitted
            return conn[0]

        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, sock)
        except OSError as error:  # the client disconnected meanwhile
            _log.debug("connection.lost", error=str(error))
            sock.close()
            admitted.leave()
        finally:
            for each in conn:
                self._expected.pop(each, None)


class LocalConnectionSource:
    """The listening sockets of a single-process server. Also the `AdmissionGate` of its listener, and the
    `ConnectionHandler` of its acceptor."""

    def __init__(self, gate: ServerAdmissionGate, listen: ListenOptions, other_descriptors: int) -> None:
        """`other_descriptors`: file descriptors that the rest of the process opens."""
        self._server_gate = gate
        self._listen = listen
        self._other_descriptors = other_descriptors
        self._adopter: SocketAdopter[LocalAdmittedConnection] = SocketAdopter()
        self._acceptor: Acceptor | None = None
        self._is_closed = False

    @property
    def gate(self) -> LocalConnectionSource:
        return self

    @property
    def port(self) -> int:
        """The TCP port, while it is open."""
        return self._acceptor.port if self._acceptor else 0

    async def create_server(self, factory: Factory, host: str, port: int) -> LocalConnectionSource:
        """Start to listen, unless it was closed before.

        Raises CannotListen: if the address cannot be bound.
        Raises OSError: if a bound socket cannot listen.
        """
        if self._is_closed:
            return self
        acceptor = Acceptor(
            self._server_gate, self._listen, bind(self._listen), self, self._other_descriptors
        )
        try:
            acceptor.open()
        except OSError:
            acceptor.close()
            raise
        self._adopter.factory = factory
        self._acceptor = acceptor
        return self

    def close(self) -> None:
        self._is_closed = True
        self._adopter.factory = None
        if self._acceptor is not None:
            self._acceptor.close()

    async def wait_closed(self) -> None:
        return

    def arrive(self, conn: Any, expel: Disconnect) -> LocalAdmittedConnection | None:
        admitted = self._adopter.claim(conn)
        if admitted is None or not admitted.is_admitted:
            return None
        admitted.expel = expel
        return admitted

    def can_serve(self) -> bool:
        return True

    def serve(self, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        # until asyncssh announces the connection, which is then refused
        admitted.expel = lambda _reason: None
        self._adopter.adopt(sock, admitted)
