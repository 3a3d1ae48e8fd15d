"""The supervisor's client of the template process: requests workers and replaces a template that has ended.

The template that was forked at start ends when all workers run. One that is started later as a program,
because a worker had to be replaced, keeps running.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence

from s3sftp.runtime.cancellation import wait_until_done
from s3sftp.telemetry import get_logger
from s3sftp.workers.child_process import ChildProcess
from s3sftp.workers.template import IGNORED, MAX_BYTES

_log = get_logger("s3sftp.workers")
Command = Callable[[int], Sequence[str]]
"""Returns the command line of a template, given the descriptor of its request socket."""
_ANSWER_SECONDS = 60.0
"""How long to wait for an answer: a template that was just started has to import everything first."""


class TemplateClient:
    """Has workers forked, one at a time."""

    def __init__(self, command: Command, forked: tuple[int, socket.socket] | None = None) -> None:
        """`forked` is a template that already runs; later ones are started with `command`."""
        self._command = command
        self._forked = forked
        self._process: ChildProcess | None = None
        self._requests: socket.socket | None = None
        self._turn = asyncio.Lock()

    async def start(self, number: int, descriptors: Sequence[int]) -> ChildProcess:
        """Start a worker, which gets copies of the descriptors.

        Raises OSError: if no process could be started.
        """
        starting = asyncio.create_task(self._start(number, descriptors))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await wait_until_done(starting)
            if not starting.cancelled() and starting.exception() is None:
                starting.result().send_signal(signal.SIGKILL)
            raise

    async def rest(self) -> None:
        """End the template until another worker is needed: a third of its memory is shared with no other
        process."""
        async with self._turn:
            await self.close()
            self._process = None

    async def close(self) -> None:
        """End the template; workers keep running."""
        self._adopt()
        self._let_go()
        if self._process is not None:
            # SIGKILL, because it has nothing to finish and, if it hangs, would never notice the closed socket
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def _start(self, number: int, descriptors: Sequence[int]) -> ChildProcess:
        async with self._turn:
            packet = json.dumps({"worker": number}).encode()
            try:
                requests = self._running()
                socket.send_fds(requests, [packet], descriptors)
            except (BrokenPipeError, ConnectionResetError):  # the template has just ended
                self._let_go()
                requests = self._running()
                socket.send_fds(requests, [packet], descriptors)
            return ChildProcess(await self._answer(requests))

    async def _answer(self, requests: socket.socket) -> int:
        """The process id in the template's answer.

        A worker may have been forked even if this fails. It ends when it finds its IPC socket closed, which
        is why a request is never repeated with the same socket.

        Raises OSError: if the template reports an error or does not answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                packet = await loop.sock_recv(requests, MAX_BYTES)
        except TimeoutError:
            self._let_go()
            if self._process is not None:
                self._process.send_signal(signal.SIGKILL)
            raise OSError("the template does not answer") from None
        if not packet:
            self._let_go()
            raise OSError("the template ended")
        answer = json.loads(packet)
        if "error" in answer:
            raise OSError(answer["error"])
        return int(answer["pid"])

    def _running(self) -> socket.socket:
        """The socket of the running template, which is started if necessary.

        Raises OSError: if it cannot be started.
        """
        self._adopt()
        if self._requests is not None and self._process is not None and self._process.returncode is not None:
            _log.error("template.exited", pid=self._process.pid, status=self._process.returncode)
            self._let_go()
        while self._requests is None:
            self._forked = _execute(self._command)
            self._adopt()
        return self._requests

    def _adopt(self) -> None:
        """Take over a template that was just started, and watch for its end."""
        if self._forked is not None:
            (pid, requests), self._forked = self._forked, None
            requests.setblocking(False)
            self._process, self._requests = ChildProcess(pid), requests
            _log.debug("template.started", pid=pid)

    def _let_go(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None


def _execute(command: Command) -> tuple[int, socket.socket]:
    """Start a template as a program. It unblocks signals once it ignores them."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        started = subprocess.Popen(  # noqa: S603  the command is our own
            command(its.fileno()), stdin=subprocess.DEVNULL, pass_fds=[its.fileno()]
        )
        started.returncode = 0  # ChildProcess waits for it
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        its.close()
    return started.pid, ours
