"""The listening sockets: accepts, asks the door, hands over to the least busy worker.

While no worker can take a connection none is accepted: the kernel keeps them waiting.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence

from s3sftp.ssh import BACKLOG, FrontDoor, Peer
from s3sftp.telemetry import get_logger
from s3sftp.workers.process import Worker

_log = get_logger("s3sftp.workers")
_AT_ONCE = 64
_REST_SECONDS = 1.0
"""How long to leave the sockets alone after one could not be accepted: there are no descriptors."""


class Reception:
    """Takes connections in. `workers` are those that there are, in any state; it changes under us."""

    def __init__(self, door: FrontDoor, sockets: Sequence[socket.socket], workers: dict[int, Worker]) -> None:
        self._door = door
        self._sockets = list(sockets)
        self._workers = workers
        self._numbers = itertools.count(1)
        self._turn = 0
        self._accepting = False
        self._open = False
        self._rest: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1]) if self._sockets else 0

    def open(self) -> None:
        """Listen."""
        for each in self._sockets:
            each.listen(BACKLOG)
        self._open = True
        self.resume()

    def resume(self) -> None:
        """A worker may take connections again."""
        if self._open and not self._accepting and self._rest is None and self._able():
            self._accepting = True
            for each in self._sockets:
                asyncio.get_running_loop().add_reader(each.fileno(), self._accept, each)

    def close(self) -> None:
        """Accept no one any more."""
        self._pause()
        self._open = False
        self._door.closed = True
        if self._rest is not None:
            self._rest.cancel()
        for each in self._sockets:
            each.close()

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for each in self._sockets:
                asyncio.get_running_loop().remove_reader(each.fileno())

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            worker = self._next_worker()
            if worker is None:
                self._pause()
                asyncio.get_running_loop().call_later(_REST_SECONDS, self.resume)  # it may only be behind
                return
            try:
                sock, name = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._take_a_rest(error)
                return
            self._turn = worker.number
            self._admit(sock, name, worker)

    def _admit(self, sock: socket.socket, name: object, worker: Worker) -> None:
        number = next(self._numbers)
        guest = self._door.arrive(None, Peer.of(name), worker.expel(number))
        if guest is None:
            sock.close()
            return
        worker.serve(number, guest, sock)

    def _next_worker(self) -> Worker | None:
        """The one with the fewest connections; among equals each has its turn."""
        return min(
            self._able(),
            key=lambda worker: (len(worker.guests), worker.number <= self._turn, worker.number),
            default=None,
        )

    def _able(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.can_serve]

    def _take_a_rest(self, error: OSError) -> None:
        _log.error("connection not accepted", error=str(error))
        self._pause()
        self._rest = asyncio.get_running_loop().call_later(_REST_SECONDS, self._rested)

    def _rested(self) -> None:
        self._rest = None
        self.resume()
