"""The connection source of a single-process server: its own listening sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from s3sftp.ssh.acceptor import Acceptor
from s3sftp.ssh.admission_gate import Disconnect, LocalAdmittedConnection, ServerAdmissionGate
from s3sftp.ssh.listening_sockets import bind
from s3sftp.ssh.options import ListenOptions
from s3sftp.ssh.socket_adopter import SocketAdopter


class LocalConnectionSource:
    """A `ConnectionSource` with its `AdmissionGate`, and the handler of the connections that it admits."""

    def __init__(self, door: ServerAdmissionGate, listen: ListenOptions, other_descriptors: int) -> None:
        """`other_descriptors`: file descriptors that the rest of the process opens."""
        self._door = door
        self._listen = listen
        self._other_descriptors = other_descriptors
        self._intake: SocketAdopter[LocalAdmittedConnection] = SocketAdopter()
        self._reception: Acceptor | None = None
        self._is_closed = False

    @property
    def door(self) -> LocalConnectionSource:
        return self

    @property
    def port(self) -> int:
        """The TCP port, while it is open."""
        return self._reception.port if self._reception else 0

    async def create_server(
        self, factory: Callable[[str, int], Any], host: str, port: int
    ) -> LocalConnectionSource:
        """Start to listen, unless it was closed before.

        Raises CannotListen: if the address cannot be bound.
        Raises OSError: if a bound socket cannot listen.
        """
        if self._is_closed:
            return self
        reception = Acceptor(self._door, self._listen, bind(self._listen), self, self._other_descriptors)
        try:
            reception.open()
        except OSError:
            reception.close()
            raise
        self._intake.factory = factory
        self._reception = reception
        return self

    def close(self) -> None:
        self._is_closed = True
        self._intake.factory = None
        if self._reception is not None:
            self._reception.close()

    async def wait_closed(self) -> None:
        return

    def arrive(self, conn: Any, expel: Disconnect) -> LocalAdmittedConnection | None:
        guest = self._intake.claim(conn)
        if guest is None or not guest.is_admitted:
            return None
        guest.expel = expel
        return guest

    def can_serve(self) -> bool:
        return True

    def serve(self, guest: LocalAdmittedConnection, sock: socket.socket) -> None:
        guest.expel = lambda _reason: None  # until asyncssh announces the connection, which is then refused
        self._intake.hand_in(sock, guest)
