"""The template process: it has imported what workers need and forks them, so that they share its memory.

    s3sftp serve ── fork ──► template ── fork ──► (ends at once) ── fork ──► worker
      │                                                                        │
      └─ continues as the supervisor, which the kernel makes the parent ◄──────┘

The template has one thread, no event loop and no log, so a fork never copies a lock that is held. Workers are
children of the supervisor, not of the template, and outlive it.

A request is one packet with the worker's number and the descriptors that the worker gets. The answer is the
worker's process id, or the reason why it could not be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from s3sftp.errors import S3sftpError

Work = Callable[[int, Sequence[int]], None]
"""A worker's main function. Called with its number and its descriptors, which it must close."""
MAX_BYTES = 1024
MAX_DESCRIPTORS = 8
IGNORED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1})
"""Signals that the template ignores: those that a terminal sends to the whole process group are for the
supervisor, and SIGUSR1 would end a worker that does not handle it yet."""
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class CannotStartWorker(S3sftpError):
    """The system cannot start a worker process."""

    @classmethod
    def because(cls, error: OSError | MemoryError) -> CannotStartWorker:
        """The error, with the limits that may be the cause if the system reports only a shortage."""
        said = (error.strerror if isinstance(error, OSError) else None) or str(error) or "out of memory"
        return cls(
            f"workers cannot be started: {said}: see the limits of processes (ulimit -u, pids) and memory"
        )


def adopt_orphans() -> None:
    """Make this process the parent of all orphaned descendants, hence of every worker.

    Raises CannotStartWorker: if the system refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise CannotStartWorker(f"workers cannot be started: prctl: {os.strerror(ctypes.get_errno())}")


def can_fork() -> bool:
    """Whether this process has a single thread, so that a fork copies it completely."""
    return len(os.listdir("/proc/self/task")) == 1


def fork_template(work: Work) -> tuple[int, socket.socket]:
    """Fork the template from this process; return its process id and the socket for requests.

    In the template, and in each worker, this does not return.

    Raises CannotStartWorker: if the system cannot fork.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    _freeze()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        try:
            pid = os.fork()
        except (OSError, MemoryError) as error:
            ours.close()
            raise CannotStartWorker.because(error) from error
        if pid == 0:
            ours.close()
            serve_requests(its, work)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        its.close()
    return pid, ours


def serve_requests(requests: socket.socket, work: Work) -> NoReturn:
    """Serve as the template until the other end of the socket is closed."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _read_nothing()
    _name_process("s3sftp-template")
    _freeze()
    while True:
        packet, descriptors = _receive(requests)
        if not packet:
            sys.exit(0)
        answer: dict[str, Any]
        try:
            pid = _fork_orphan()
            answer = {"pid": pid}
        except (OSError, MemoryError) as error:
            pid, answer = -1, {"error": str(error) or type(error).__name__}
        if pid == 0:
            requests.close()
            number = json.loads(packet)["worker"]
            _name_process(f"s3sftp-worker-{number}")
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            work(number, descriptors)
            sys.exit(0)
        # a second copy of the worker's IPC socket would hide that the worker closes its own
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            requests.send(json.dumps(answer).encode())


def _freeze() -> None:
    """Exempt all existing objects from garbage collection, which would write to shared memory."""
    gc.collect()
    gc.freeze()


def _receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    """The next request; an empty packet if the supervisor has closed its end."""
    try:
        packet, descriptors, _, _ = socket.recv_fds(requests, MAX_BYTES, MAX_DESCRIPTORS)
    except ConnectionResetError:
        return b"", []
    return packet, descriptors


def _fork_orphan() -> int:
    """Fork a process whose parent is the supervisor; return its process id, or 0 in the new process.

    Raises OSError: if the system cannot fork.
    """
    reading, writing = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            _fork_and_end(writing)
            return 0
        _, status = os.waitpid(between, 0)
        if code := os.waitstatus_to_exitcode(status):
            raise OSError(code, f"fork: {os.strerror(code) if code > 0 else signal.strsignal(-code)}")
        return int(os.read(reading, 32))
    finally:
        os.close(reading)
        os.close(writing)


def _fork_and_end(writing: int) -> None:
    """Fork, write the process id, and end; only the new process returns. The exit status is an errno."""
    try:
        worker = os.fork()
        if worker:
            os.write(writing, b"%d" % worker)
    except BaseException as error:  # no error may let this process continue as a second template
        os._exit((error.errno if isinstance(error, OSError) else None) or errno.ENOMEM)
    if worker:
        os._exit(0)


def _read_nothing() -> None:
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)


def _name_process(name: str) -> None:
    """Set the name that `ps` and `top` show: command lines are the same in all forked processes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)
