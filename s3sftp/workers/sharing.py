"""Which worker serves a connection: the one with the fewest."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping

from s3sftp.ssh import CountedGuest, descriptors
from s3sftp.workers.process import Worker


class Sharing:
    """Hands connections to workers (`ssh.Servers`). `workers` are those that there are, in any state; it
    changes under us."""

    def __init__(self, workers: Mapping[int, Worker], other_descriptors: int) -> None:
        """Each of them opens so many descriptors besides connections."""
        self._workers = workers
        self._other_descriptors = other_descriptors
        self._numbers = itertools.count(1)
        self._turn = 0

    def can_serve(self) -> bool:
        return any(self._is_able(worker) for worker in self._workers.values())

    def serve(self, guest: CountedGuest, sock: socket.socket) -> None:
        worker = min(
            (worker for worker in self._workers.values() if self._is_able(worker)),
            # among equals each has its turn
            key=lambda worker: (len(worker.guests), worker.number <= self._turn, worker.number),
        )
        self._turn = worker.number
        number = next(self._numbers)
        guest.expel = worker.expel(number)
        worker.serve(number, guest, sock)

    def _is_able(self, worker: Worker) -> bool:
        # it has the same limit of descriptors as this process
        most = descriptors.for_connections(self._other_descriptors)
        return worker.can_serve and len(worker.guests) < most
