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
from functools import partial
from typing import Any, TypeVar

from s3sftp.auth import Offence
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.ssh import Disconnect, Peer, Refusal, SocketAdopter
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.workers import messages
from s3sftp.workers.ipc import IpcConnection
from s3sftp.workers.questions import QuestionsAnswered

_log = get_logger("s3sftp.workers")
T = TypeVar("T")
_GONE = Refusal("the server is stopping")
MAX_NAME_CHARACTERS = 256
"""Characters of a user name that the supervisor gets to compare: the rest would not fit into a message."""


class WorkerGate:
    """An `ssh.ConnectionSource` and `ssh.AdmissionGate`. Requests `stop` when the supervisor says so, or has
    ended."""

    def __init__(self, end: socket.socket, stop: ShutdownRequests) -> None:
        """Must be made on the event loop; messages from the supervisor are handled from then on."""
        self._stop = stop
        self._adopter: SocketAdopter[RemoteAdmittedConnection] = SocketAdopter()
        self._connections: dict[int, RemoteAdmittedConnection] = {}
        self._losses = LogThrottle()
        self.probe_storage: Callable[[], Awaitable[str]] | None = None
        """Probes the storage; returns its problem, or an empty text."""
        self._probing: asyncio.Task[None] | None = None
        self.apply_users: Callable[[int], None] = os.close
        """Takes the file that describes how users have changed, and closes it."""
        self.when_users_are_applied: Callable[[Callable[[], None]], None] = lambda then: then()
        """Calls a function when all such files have been applied. A connection waits for it: whoever was
        told of a change connects after it, and must meet the users of now."""
        self._ipc = IpcConnection(end, self._received, self._supervisor_gone)
        self.questions = QuestionsAnswered(self._ipc.send)

    @property
    def gate(self) -> WorkerGate:
        return self

    def arrive(self, conn: Any, expel: Disconnect) -> RemoteAdmittedConnection | None:
        admitted = self._adopter.claim(conn)
        if admitted is None or admitted.connection_id not in self._connections:
            return None
        admitted.expel = expel
        return admitted

    async def create_server(
        self, factory: Callable[[str, int], Any], host: str, port: int
    ) -> _ListeningServer:
        self._adopter.factory = factory
        return _ListeningServer(self)

    def ready(self) -> None:
        """Report to the supervisor that this worker accepts connections."""
        self._ipc.send(messages.WorkerReady())

    def stop_adopting(self) -> None:
        """Close connections that still arrive instead of serving them."""
        self._adopter.factory = None

    def close(self) -> None:
        """Close the IPC connection."""
        if self._probing is not None:
            self._probing.cancel()
        self.questions.close()
        self._ipc.close()

    def send(self, message: messages.IpcMessage) -> None:
        self._ipc.send(message)

    def forget(self, connection_id: int) -> None:
        """Forget a connection that has closed."""
        if self._connections.pop(connection_id, None) is not None:
            self._ipc.send(messages.ConnectionClosed(connection_id))

    def _received(self, message: messages.IpcMessage, descriptor: int | None) -> None:
        match message:
            case messages.ServeConnection(connection_id, address, port, proxy, is_proxys_own):
                self._serve(connection_id, Peer(address, port, proxy, is_proxys_own), descriptor)
                return
            case messages.LoginAnswer(connection_id, refusal) if connection_id in self._connections:
                self._connections[connection_id].login_counted(Refusal(refusal) if refusal else None)
            case messages.PasswordAnswer(connection_id, allowed) if connection_id in self._connections:
                self._connections[connection_id].password_answered(allowed)
            case messages.OffenceAnswer(connection_id, banned) if connection_id in self._connections:
                self._connections[connection_id].offence_counted(banned)
            case messages.SessionAnswer(connection_id, refusal) if connection_id in self._connections:
                self._connections[connection_id].session_answered(Refusal(refusal) if refusal else None)
            case messages.DisconnectClient(connection_id, reason) if connection_id in self._connections:
                self._connections[connection_id].expel(reason)
            case messages.UsersChanged():
                self._receive_users(descriptor)
                return
            case messages.AskWorker(number):
                self.questions.take(number, descriptor)
                return
            case messages.StopWorker():
                self._stop.ask()
            case messages.Ping():
                self._ipc.send(messages.Pong())
            case messages.ProbeStorage() if self.probe_storage is not None:
                self._probing = asyncio.create_task(self._report_storage(self.probe_storage))
        if descriptor is not None:
            os.close(descriptor)

    def _serve(self, connection_id: int, peer: Peer, descriptor: int | None) -> None:
        admitted = self._connections[connection_id] = RemoteAdmittedConnection(self, connection_id, peer)
        if descriptor is None:
            suppressed = self._losses.allow("lost", asyncio.get_running_loop().time())
            if suppressed is not None:
                _log.error(
                    "connection.takeover_failed", error="no file descriptor is left", suppressed=suppressed
                )
            admitted.leave()
        else:
            sock = socket.socket(fileno=descriptor)
            self.when_users_are_applied(partial(self._adopter.adopt, sock, admitted))

    async def _report_storage(self, probe: Callable[[], Awaitable[str]]) -> None:
        self._ipc.send(messages.StorageProbed(await probe()))

    def _receive_users(self, descriptor: int | None) -> None:
        if descriptor is None:
            _log.error("users.takeover_failed", error="no file descriptor is left")
            self._ipc.send(messages.UsersLost())
        else:
            self.apply_users(descriptor)

    def _supervisor_gone(self) -> None:
        _log.error("supervisor.lost")
        for admitted in list(self._connections.values()):
            admitted.lose_supervisor()
        self._stop.ask()


class RemoteAdmittedConnection:
    """A connection that the supervisor counts."""

    def __init__(self, gate: WorkerGate, connection_id: int, peer: Peer) -> None:
        self.connection_id = connection_id
        self.peer = peer
        self._gate = gate
        self._login: asyncio.Future[Refusal | None] | None = None
        self._password_answers: deque[asyncio.Future[bool]] = deque()
        self._ban_answers: deque[asyncio.Future[bool]] = deque()
        self._session_answers: deque[asyncio.Future[Refusal | None]] = deque()
        self._lost = False
        self.expel: Disconnect = lambda _reason: self.leave()

    def version_received(self) -> None:
        if not self._lost:
            self._gate.send(messages.VersionReceived(self.connection_id))

    def log_in(self, user: str, name: str) -> asyncio.Future[Refusal | None]:
        self._login = asyncio.get_running_loop().create_future()
        if self._lost:
            self._login.set_result(_GONE)
        else:
            self._gate.send(messages.LoggedIn(self.connection_id, user, name[:MAX_NAME_CHARACTERS]))
        return self._login

    def may_try_password(self, user: str, has_proven: bool = False) -> asyncio.Future[bool]:
        message = messages.TryPassword(self.connection_id, user[:MAX_NAME_CHARACTERS], has_proven)
        return self._ask(message, self._password_answers, False)

    def offended(self, offence: Offence, user: str = "", has_proven: bool = False) -> asyncio.Future[bool]:
        name = user[:MAX_NAME_CHARACTERS]
        message = messages.Offended(self.connection_id, str(offence), name, has_proven)
        return self._ask(message, self._ban_answers, True)

    def open_session(self, most: int) -> asyncio.Future[Refusal | None]:
        message = messages.OpenSession(self.connection_id, most)
        if most or self._lost:
            return self._ask(message, self._session_answers, _GONE)
        self._gate.send(message)
        answer: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer

    def close_session(self) -> None:
        if not self._lost:
            self._gate.send(messages.SessionClosed(self.connection_id))

    def _ask(
        self, message: messages.IpcMessage, answers: deque[asyncio.Future[T]], if_lost: T
    ) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._lost:
            answer.set_result(if_lost)
        else:
            answers.append(answer)
            self._gate.send(message)
        return answer

    def leave(self) -> None:
        self._gate.forget(self.connection_id)
        self.lose_supervisor()

    def login_counted(self, refusal: Refusal | None) -> None:
        """Handle the answer to `log_in`."""
        if self._login is not None and not self._login.done():
            self._login.set_result(refusal)

    def password_answered(self, allowed: bool) -> None:
        """Handle the answer to the oldest `may_try_password`."""
        _answer_oldest(self._password_answers, allowed)

    def offence_counted(self, banned: bool) -> None:
        """Handle the answer to the oldest `offended`."""
        _answer_oldest(self._ban_answers, banned)

    def session_answered(self, refusal: Refusal | None) -> None:
        """Handle the answer to the oldest `open_session` with a limit."""
        _answer_oldest(self._session_answers, refusal)

    def lose_supervisor(self) -> None:
        """No answer will come any more: refuse what is pending."""
        self._lost = True
        self.login_counted(_GONE)
        while self._password_answers:
            self.password_answered(False)
        while self._ban_answers:
            self.offence_counted(True)
        while self._session_answers:
            self.session_answered(_GONE)


def _answer_oldest(answers: deque[asyncio.Future[T]], value: T) -> None:
    if answers and not (answer := answers.popleft()).done():
        answer.set_result(value)


class _ListeningServer:
    """What asyncssh uses as the listening server."""

    def __init__(self, gate: WorkerGate) -> None:
        self._gate = gate

    def close(self) -> None:
        self._gate.stop_adopting()

    async def wait_closed(self) -> None:
        return
