"""Picks the worker that serves a new connection: the one with the fewest connections."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Mapping

from s3sftp.ssh import LocalAdmittedConnection, file_descriptors
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.workers.worker_process import WorkerProcess

_log = get_logger("s3sftp.workers")
_LOG_SECONDS = 60.0


class LeastConnections:
    """Hands connections to workers (a `ConnectionHandler`). `workers` is a live view of all workers, in any
    state."""

    def __init__(self, workers: Mapping[int, WorkerProcess], other_descriptors: int) -> None:
        """`other_descriptors`: file descriptors that each worker opens besides connections."""
        self._workers = workers
        self._other_descriptors = other_descriptors
        self._numbers = itertools.count(1)
        self._turn = 0
        self._full = LogThrottle(_LOG_SECONDS)

    def can_serve(self) -> bool:
        workers = list(self._workers.values())
        if any(map(self._is_able, workers)):
            return True
        if any(worker.can_serve for worker in workers):
            self._log_full()
        return False

    def _log_full(self) -> None:
        if self._full.allow("full", asyncio.get_running_loop().time()) is not None:
            _log.error(
                "listener.paused",
                error="the workers have too few file descriptors left",
                limit=file_descriptors.limit(),
                detail="new connections wait; raise the limit of open files, or lower ssh.max_connections",
            )

    def serve(self, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        worker = min(
            (worker for worker in self._workers.values() if self._is_able(worker)),
            # round-robin among workers with equally many connections
            key=lambda worker: (len(worker.connections), worker.number <= self._turn, worker.number),
        )
        self._turn = worker.number
        number = next(self._numbers)
        admitted.expel = worker.expel(number)
        worker.serve(number, admitted, sock)

    def _is_able(self, worker: WorkerProcess) -> bool:
        # a worker has the same descriptor limit as this process
        most = file_descriptors.for_connections(self._other_descriptors)
        return worker.can_serve and len(worker.connections) < most
