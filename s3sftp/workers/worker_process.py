"""One worker as the supervisor sees it: a process, a link, and the guests that were handed to it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import astuple

from s3sftp.ssh import Disconnect, LocalAdmittedConnection
from s3sftp.telemetry import get_logger
from s3sftp.workers import messages
from s3sftp.workers.child_process import ChildProcess
from s3sftp.workers.heartbeat import Heartbeat
from s3sftp.workers.ipc import IpcConnection, Transferable, ipc_socket_pair

_log = get_logger("s3sftp.workers")
Start = Callable[[int, socket.socket], Awaitable[ChildProcess]]
"""Starts the process of a worker, which is told its number and gets a copy of its end of the link."""
_AGAIN_SECONDS = 1.0
"""After which users are sent again that did not arrive."""


class WorkerProcess:
    """A worker from its start to its end. Ready when it has said so."""

    def __init__(self, number: int, changed: Callable[[], None]) -> None:
        self.number = number
        self.guests: dict[int, LocalAdmittedConnection] = {}
        self.ready = False
        self.pulse = Heartbeat()
        self._changed = changed
        """Called when it can take connections."""
        self._link: IpcConnection | None = None
        self._process: ChildProcess | None = None
        self._look: asyncio.Future[str] | None = None
        """Waits for what the storage says."""
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
        return self.ready and not self.pulse.missed and self._link is not None and not self._link.blocked

    async def start(self, start: Start) -> None:
        """Start the process. Raises OSError."""
        mine, its = ipc_socket_pair()
        try:
            self._process = await start(self.number, its)
        except BaseException:
            mine.close()
            raise
        finally:
            its.close()
        self._link = IpcConnection(mine, self._received, self._hang_up)

    async def ended(self) -> int:
        """Wait for its end; the exit status. Its guests are gone then."""
        if self._process is None:
            return 0
        status = await self._process.wait()
        self._hang_up()
        return status

    def serve(self, number: int, guest: LocalAdmittedConnection, sock: socket.socket) -> None:
        """Hand a connection over."""
        self.guests[number] = guest
        self._send(messages.ServeConnection(number, *astuple(guest.peer)), sock)

    def expel(self, number: int) -> Disconnect:
        """What closes one of its connections."""
        return lambda reason: self._send(messages.DisconnectClient(number, reason))

    def hand_users(self, users: int) -> None:
        """Give it a file that says how users have changed. It stays the caller's, who keeps it open until
        another one is handed over."""
        self._users = users
        self._send_users()

    def _send_users(self) -> None:
        if self._users is None or self.hung_up.is_set():
            return
        try:
            carried = os.fdopen(os.dup(self._users), "rb")  # which the link closes
        except OSError as error:
            _log.error("users.handover_failed", worker=self.number, error=str(error))
            self._send_users_again()
        else:
            self._send(messages.UsersChanged(), carried)

    def _send_users_again(self) -> None:
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._send_users)

    def stop(self) -> None:
        """Tell it to finish; the second time to cut it short."""
        self._send(messages.StopWorker())

    def beat(self) -> None:
        """An interval has passed: ask whether it is there, unless it still owes the answer."""
        if not self.pulse.asked:
            self._send(messages.Ping())
        self.pulse = self.pulse.beat()

    def look(self) -> asyncio.Future[str]:
        """Have it ask the storage for something small: what that said, if it was no. Cancelled when the
        worker is gone before it has answered. One question is under way at a time."""
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_future()
            self._send(messages.ProbeStorage())
        return self._look

    def ask_why(self) -> None:
        """Have it write what it waits for."""
        self._signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _send(self, message: messages.IpcMessage, carried: Transferable | None = None) -> None:
        if self._link is not None:
            self._link.send(message, carried)
        elif carried is not None:
            carried.close()

    def _received(self, message: messages.IpcMessage, descriptor: int | None) -> None:
        match message:
            case messages.WorkerReady():
                self.ready = True
                _log.debug("worker.available", worker=self.number)
                self._changed()
            case messages.Pong():
                self._answered()
            case messages.StorageProbed(trouble) if self._look is not None and not self._look.done():
                self._look.set_result(trouble)
            case messages.UsersLost():
                self._send_users_again()
            case messages.VersionReceived(number) if number in self.guests:
                self.guests[number].greeted()
            case messages.LoggedIn(number, user) if number in self.guests:
                refusal = self.guests[number].log_in(user).result()
                self._send(messages.LoginAnswer(number, refusal.reason if refusal else ""))
            case messages.LoginFailed(number) if number in self.guests:
                self._send(messages.FailureAnswer(number, self.guests[number].failed().result()))
            case messages.ConnectionClosed(number) if number in self.guests:
                self.guests.pop(number).leave()

    def _answered(self) -> None:
        before, self.pulse = self.pulse, Heartbeat()
        if before.missed:
            _log.info("worker.recovered", worker=self.number)
            self._changed()

    def _hang_up(self) -> None:
        self.ready = False
        if self._look is not None:
            self._look.cancel()
        if self._link is not None:
            self._link.close()
        for guest in self.guests.values():
            guest.leave()
        self.guests.clear()
        self.hung_up.set()
