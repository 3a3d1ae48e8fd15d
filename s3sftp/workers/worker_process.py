"""One worker as the supervisor sees it: its process, its IPC connection and its client connections."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import astuple

from s3sftp.auth import Offence
from s3sftp.ssh import Disconnect, LocalAdmittedConnection
from s3sftp.telemetry import get_logger
from s3sftp.workers import messages
from s3sftp.workers.child_process import ChildProcess
from s3sftp.workers.heartbeat import Heartbeat
from s3sftp.workers.ipc import IpcConnection, Transferable, ipc_socket_pair
from s3sftp.workers.questions import Questions

_log = get_logger("s3sftp.workers")
Start = Callable[[int, socket.socket], Awaitable[ChildProcess]]
"""Starts a worker's process, given its number and its end of the IPC connection, of which it gets a copy."""
_AGAIN_SECONDS = 1.0
"""Seconds until changed users that did not arrive are sent again."""


class WorkerProcess:
    """A worker from its start to its end. It is ready once it has reported so."""

    def __init__(
        self,
        number: int,
        changed: Callable[[], None],
        became_ready: Callable[[WorkerProcess], None] = lambda worker: None,
    ) -> None:
        """`became_ready` is called once, before connections are handed over."""
        self.number = number
        self._became_ready = became_ready
        self.connections: dict[int, LocalAdmittedConnection] = {}
        self.ready = False
        self.heartbeat = Heartbeat()
        self._changed = changed
        """Called when the worker can take connections."""
        self._ipc: IpcConnection | None = None
        self._process: ChildProcess | None = None
        self._probe: asyncio.Future[str] | None = None
        """Resolves with the answer of the storage probe."""
        self.questions = Questions(self._send)
        self.hung_up = asyncio.Event()
        self._users: int | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def can_serve(self) -> bool:
        """Whether a connection can be handed to it now."""
        return self.ready and not self.heartbeat.missed and self._ipc is not None and not self._ipc.blocked

    async def start(self, start: Start) -> None:
        """Start the process.

        Raises OSError: if no process could be started.
        """
        mine, its = ipc_socket_pair()
        try:
            self._process = await start(self.number, its)
        except BaseException:
            mine.close()
            raise
        finally:
            its.close()
        self._ipc = IpcConnection(mine, self._received, self._hang_up)

    async def ended(self) -> int:
        """Wait for the process to end; return its exit status. All its connections have been counted out by
        then."""
        if self._process is None:
            return 0
        status = await self._process.wait()
        self._hang_up()
        return status

    def serve(self, number: int, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        """Hand a connection over."""
        self.connections[number] = admitted
        self._send(messages.ServeConnection(number, *astuple(admitted.peer)), sock)

    def expel(self, number: int) -> Disconnect:
        """A function that closes one of the worker's connections."""
        return lambda reason: self._send(messages.DisconnectClient(number, reason))

    def send_users(self, users: int) -> None:
        """Send a file that describes how users have changed. The caller keeps it open until it hands over
        another one."""
        self._users = users
        self._send_users()

    def _send_users(self) -> None:
        if self._users is None or self.hung_up.is_set():
            return
        try:
            carried = os.fdopen(os.dup(self._users), "rb")  # the IPC connection closes it
        except OSError as error:
            _log.error("users.handover_failed", worker=self.number, error=str(error))
            self._send_users_again()
        else:
            self._send(messages.UsersChanged(), carried)

    def _send_users_again(self) -> None:
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._send_users)

    def stop(self) -> None:
        """Ask the worker to finish; the second time, to abort what runs."""
        self._send(messages.StopWorker())

    def ping(self) -> None:
        """An interval has passed: send a ping, unless one is unanswered."""
        if not self.heartbeat.asked:
            self._send(messages.Ping())
        self.heartbeat = self.heartbeat.beat()

    def probe_storage(self) -> asyncio.Future[str]:
        """Have the worker probe the storage; the result is the storage's problem, or an empty text.

        The future is cancelled if the worker ends before it has answered. At most one probe is under way.
        """
        if self._probe is None or self._probe.done():
            self._probe = asyncio.get_running_loop().create_future()
            self._send(messages.ProbeStorage())
        return self._probe

    def dump_tasks(self) -> None:
        """Have the worker dump its tasks."""
        self._signal(signal.SIGUSR1)

    def kill(self) -> None:
        """Kill the process."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _send(self, message: messages.IpcMessage, carried: Transferable | None = None) -> None:
        if self._ipc is not None:
            self._ipc.send(message, carried)
        elif carried is not None:
            carried.close()

    def _received(self, message: messages.IpcMessage, descriptor: int | None) -> None:
        match message:
            case messages.WorkerReady():
                self.ready = True
                _log.debug("worker.available", worker=self.number)
                self._became_ready(self)
                self._changed()
            case messages.Pong():
                self._answered()
            case messages.StorageProbed(problem) if self._probe is not None and not self._probe.done():
                self._probe.set_result(problem)
            case messages.WorkerAnswered(number):
                self.questions.answered(number, descriptor)
                return
            case messages.UsersLost():
                self._send_users_again()
            case messages.VersionReceived(number) if number in self.connections:
                self.connections[number].version_received()
            case messages.LoggedIn(number, user, name) if number in self.connections:
                refusal = self.connections[number].log_in(user, name).result()
                self._send(messages.LoginAnswer(number, refusal.reason if refusal else ""))
            case messages.TryPassword(number, user, has_proven) if number in self.connections:
                allowed = self.connections[number].may_try_password(user, has_proven).result()
                self._send(messages.PasswordAnswer(number, allowed))
            case messages.Offended(number, offence, user, has_proven) if number in self.connections:
                banned = self.connections[number].offended(Offence(offence), user, has_proven).result()
                self._send(messages.OffenceAnswer(number, banned))
            case messages.OpenSession(number, most) if number in self.connections:
                refusal = self.connections[number].open_session(most).result()
                if most:
                    self._send(messages.SessionAnswer(number, refusal.reason if refusal else ""))
            case messages.SessionClosed(number) if number in self.connections:
                self.connections[number].close_session()
            case messages.ConnectionClosed(number) if number in self.connections:
                self.connections.pop(number).leave()
        if descriptor is not None:
            os.close(descriptor)

    def _answered(self) -> None:
        before, self.heartbeat = self.heartbeat, Heartbeat()
        if before.missed:
            _log.info("worker.recovered", worker=self.number)
            self._changed()

    def _hang_up(self) -> None:
        self.ready = False
        if self._probe is not None:
            self._probe.cancel()
        self.questions.end()
        if self._ipc is not None:
            self._ipc.close()
        for admitted in self.connections.values():
            admitted.leave()
        self.connections.clear()
        self.hung_up.set()
