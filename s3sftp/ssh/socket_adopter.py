"""Has asyncssh serve sockets that were accepted elsewhere, and maps its connections to admitted ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from s3sftp.ssh.admission_gate import AdmittedConnection
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.ssh")
G = TypeVar("G", bound=AdmittedConnection)
Factory = Callable[[str, int], Any]


class SocketAdopter(Generic[G]):
    """`factory` creates a connection, as asyncssh passes it to a `ConnectionSource`; sockets are closed until
    it is set."""

    def __init__(self) -> None:
        self.factory: Factory | None = None
        self._expected: dict[Any, G] = {}
        """Admitted connections that asyncssh has not announced yet."""
        self._arriving: set[asyncio.Task[None]] = set()

    def claim(self, conn: Any) -> G | None:
        """The admitted connection for a connection that asyncssh announces."""
        return self._expected.pop(conn, None)

    def hand_in(self, sock: socket.socket, guest: G) -> None:
        """Have asyncssh serve the socket. If it cannot, the connection is counted out."""
        if self.factory is None:
            sock.close()
            guest.leave()
            return
        task = asyncio.create_task(self._hand_in(sock, guest, self.factory))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _hand_in(self, sock: socket.socket, guest: G, factory: Factory) -> None:
        conn: list[Any] = []

        def protocol() -> Any:
            conn.append(factory("", 0))
            self._expected[conn[0]] = guest
            return conn[0]

        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(protocol, sock)
        except OSError as error:  # the client disconnected meanwhile
            _log.debug("connection.lost", error=str(error))
            sock.close()
            guest.leave()
        finally:
            for each in conn:
                self._expected.pop(each, None)
