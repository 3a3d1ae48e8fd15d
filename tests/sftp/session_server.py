"""The product's SFTP sessions behind a real SSH server in this process, without identity or limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncssh

from s3sftp.backends import CompleteBackend, Session
from s3sftp.fs import FileOptions, FileSystem, Mounts, OpenStorage
from s3sftp.sftp import Rates, SftpOptions, SftpSession, UserPaces
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.options import TracingOptions
from testbed.raw_client import RawSftpClient, wire
from tests.support.logs import Event, Level, logging_as_served

_host_key = asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class Serving:
    """A running server."""

    volume: OpenStorage
    options: SftpOptions
    prefix: str
    tracing: TracingOptions = TracingOptions()  # noqa: RUF009  frozen
    rates: Rates = Rates()  # noqa: RUF009  frozen
    """What alice may do in a second; nobody else is limited."""
    port: int = 0
    sessions: list[SftpSession] = field(default_factory=list)
    """Every SFTP session that was ever asked for."""
    internal_errors: list[Event] = field(default_factory=list)
    """Log events at the level `error`: what a client sends must not cause any."""
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.paces = UserPaces(None, self.metrics)

    def files(self, user: str) -> FileSystem:
        return FileSystem(self.volume, Mounts.of(self.prefix), Session(user))

    async def connect(self, user: str = "alice") -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            "127.0.0.1", self.port, username=user, known_hosts=None, config=None, client_keys=None
        )

    @asynccontextmanager
    async def client(self, user: str = "alice", *, init: bool = True) -> AsyncIterator[RawSftpClient]:
        """A session on a connection of its own."""
        async with await self.connect(user) as connection, wire(connection, init=init) as session:
            yield session

    def note_event(self, event: Event) -> None:
        """Keep a log event if it is an error."""
        if event["log_level"] in ("error", "critical"):
            self.internal_errors.append(event)

    def nothing_is_open(self) -> bool:
        """Whether no session has open files or running requests, and no upload is open."""
        return not any(session.busy for session in self.sessions) and len(self.volume.writers) == 0

    async def lets_everything_go(self) -> None:
        """Wait until nothing is open; then nothing may be held either."""
        await self.until_nothing_is_open()
        async with asyncio.timeout(10):
            while self.volume.budget.used:
                await asyncio.sleep(0.01)
        if self.internal_errors:
            raise AssertionError(f"errors in the log: {self.internal_errors}")

    async def until_nothing_is_open(self, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not self.nothing_is_open():
                await asyncio.sleep(0.01)


class _Door(asyncssh.SSHServer):
    """Lets everybody in."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._user = ""
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        conn.pause_writing = self._pause  # type: ignore[method-assign]
        conn.resume_writing = self._resume  # type: ignore[method-assign]
        self._mine: list[SftpSession] = []

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return False

    def session_requested(self) -> SftpSession:
        serving = self._serving
        pace = serving.paces.of(self._user, serving.rates if self._user == "alice" else Rates())
        session = SftpSession(serving.files(self._user), serving.options, pace, tracing=serving.tracing)
        self._serving.sessions.append(session)
        self._mine.append(session)
        return session

    def _pause(self) -> None:
        for session in self._mine:
            session.transport_paused()

    def _resume(self) -> None:
        for session in self._mine:
            session.transport_resumed()


@asynccontextmanager
async def serving(
    backend: CompleteBackend,
    *,
    files: FileOptions | None = None,
    sftp: SftpOptions | None = None,
    prefix: str = "",
    rates: Rates = Rates(),  # noqa: B008  frozen
    log_level: Level | None = None,
    tracing: TracingOptions = TracingOptions(),  # noqa: B008  frozen
) -> AsyncIterator[Serving]:
    """Serve a backend on a free port; afterwards everything must have been let go of.

    It logs as `s3sftp serve` does: at the level of the enclosing `logging_as_served`, or at `info`.
    """
    volume = OpenStorage(backend, files or FileOptions())
    await volume.start()
    running = Serving(volume, sftp or SftpOptions(), prefix, tracing, rates)
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[_host_key], server_factory=lambda: _Door(running), encoding=None
    )
    running.port = server.get_port()
    with logging_as_served(running.note_event, log_level):
        try:
            yield running
            await running.lets_everything_go()
        finally:
            server.close()
            await server.wait_closed()
            await volume.stop()
