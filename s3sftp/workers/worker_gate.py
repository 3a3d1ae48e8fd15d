"""The worker's end of the admission gate: receives connections, and asks the supervisor to admit logins.

The supervisor decides and counts; this end waits for its answers. If the supervisor has ended, pending
questions are answered by refusal and the worker stops.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.ssh import Disconnect, Peer, Refusal, SocketAdopter
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.workers import messages
from s3sftp.workers.ipc import IpcConnection

_log = get_logger("s3sftp.workers")
_GONE = Refusal("the server is stopping")


class WorkerGate:
    """An `ssh.ConnectionSource` and `ssh.AdmissionGate`. Requests `stop` when the supervisor says so, or has
    ended."""

    def __init__(self, end: socket.socket, stop: ShutdownRequests) -> None:
        """Must be made on the event loop; messages from the supervisor are handled from then on."""
        self._stop = stop
        self._adopter: SocketAdopter[RemoteAdmittedConnection] = SocketAdopter()
        self._guests: dict[int, RemoteAdmittedConnection] = {}
        self._losses = LogThrottle()
        self.look: Callable[[], Awaitable[str]] | None = None
        """Probes the storage; returns its problem, or an empty text."""
        self._looking: asyncio.Task[None] | None = None
        self.on_users: Callable[[int], None] = os.close
        """Takes the file that describes how users have changed, and closes it."""
        self._link = IpcConnection(end, self._received, self._supervisor_gone)

    @property
    def gate(self) -> WorkerGate:
        return self

    def arrive(self, conn: Any, expel: Disconnect) -> RemoteAdmittedConnection | None:
        guest = self._adopter.claim(conn)
        if guest is None or guest.number not in self._guests:
            return None
        guest.expel = expel
        return guest

    async def create_server(self, factory: Callable[[str, int], Any], host: str, port: int) -> _Handing:
        self._adopter.factory = factory
        return _Handing(self)

    def ready(self) -> None:
        """Report to the supervisor that this worker accepts connections."""
        self._link.send(messages.WorkerReady())

    def stop_taking(self) -> None:
        """Close connections that still arrive instead of serving them."""
        self._adopter.factory = None

    def close(self) -> None:
        """Close the IPC connection."""
        if self._looking is not None:
            self._looking.cancel()
        self._link.close()

    def send(self, message: messages.IpcMessage) -> None:
        self._link.send(message)

    def forget(self, guest: int) -> None:
        """Forget a connection that has closed."""
        if self._guests.pop(guest, None) is not None:
            self._link.send(messages.ConnectionClosed(guest))

    def _received(self, message: messages.IpcMessage, descriptor: int | None) -> None:
        match message:
            case messages.ServeConnection(number, address, port, proxy, is_proxys_own):
                self._serve(number, Peer(address, port, proxy, is_proxys_own), descriptor)
                return
            case messages.LoginAnswer(number, refusal) if number in self._guests:
                self._guests[number].counted(Refusal(refusal) if refusal else None)
            case messages.FailureAnswer(number, banned) if number in self._guests:
                self._guests[number].judged(banned)
            case messages.DisconnectClient(number, reason) if number in self._guests:
                self._guests[number].expel(reason)
            case messages.UsersChanged():
                self._take_users(descriptor)
                return
            case messages.StopWorker():
                self._stop.ask()
            case messages.Ping():
                self._link.send(messages.Pong())
            case messages.ProbeStorage() if self.look is not None:
                self._looking = asyncio.create_task(self._tell_of_storage(self.look))
        if descriptor is not None:
            os.close(descriptor)

    def _serve(self, number: int, peer: Peer, descriptor: int | None) -> None:
        guest = self._guests[number] = RemoteAdmittedConnection(self, number, peer)
        if descriptor is None:
            untold = self._losses.tell("lost", asyncio.get_running_loop().time())
            if untold is not None:
                _log.error(
                    "connection.takeover_failed", error="no file descriptor is left", suppressed=untold
                )
            guest.leave()
        else:
            self._adopter.adopt(socket.socket(fileno=descriptor), guest)

    async def _tell_of_storage(self, look: Callable[[], Awaitable[str]]) -> None:
        self._link.send(messages.StorageProbed(await look()))

    def _take_users(self, descriptor: int | None) -> None:
        if descriptor is None:
            _log.error("users.takeover_failed", error="no file descriptor is left")
            self._link.send(messages.UsersLost())
        else:
            self.on_users(descriptor)

    def _supervisor_gone(self) -> None:
        _log.error("supervisor.lost")
        for guest in list(self._guests.values()):
            guest.lose_gate()
        self._stop.ask()


class RemoteAdmittedConnection:
    """A connection that the supervisor counts."""

    def __init__(self, post: WorkerGate, number: int, peer: Peer) -> None:
        self.number = number
        self.peer = peer
        self._post = post
        self._login: asyncio.Future[Refusal | None] | None = None
        self._judgements: deque[asyncio.Future[bool]] = deque()
        self._lost = False
        self.expel: Disconnect = lambda _reason: self.leave()

    def greeted(self) -> None:
        if not self._lost:
            self._post.send(messages.VersionReceived(self.number))

    def log_in(self, user: str) -> asyncio.Future[Refusal | None]:
        self._login = asyncio.get_running_loop().create_future()
        if self._lost:
            self._login.set_result(_GONE)
        else:
            self._post.send(messages.LoggedIn(self.number, user))
        return self._login

    def failed(self) -> asyncio.Future[bool]:
        judgement: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._lost:
            judgement.set_result(True)
        else:
            self._judgements.append(judgement)
            self._post.send(messages.LoginFailed(self.number))
        return judgement

    def leave(self) -> None:
        self._post.forget(self.number)
        self.lose_gate()

    def counted(self, refusal: Refusal | None) -> None:
        """Handle the answer to `log_in`."""
        if self._login is not None and not self._login.done():
            self._login.set_result(refusal)

    def judged(self, banned: bool) -> None:
        """Handle the answer to the oldest `failed`."""
        if self._judgements and not (judgement := self._judgements.popleft()).done():
            judgement.set_result(banned)

    def lose_gate(self) -> None:
        """No answer will come any more: refuse what is pending."""
        self._lost = True
        self.counted(_GONE)
        while self._judgements:
            self.judged(True)


class _Handing:
    """What asyncssh uses as the listening server."""

    def __init__(self, post: WorkerGate) -> None:
        self._post = post

    def close(self) -> None:
        self._post.stop_taking()

    async def wait_closed(self) -> None:
        return
