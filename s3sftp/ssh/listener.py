"""Listens for SSH connections and manages them until they end.

start ──► stop_accepting ──► drain (idle sessions end, busy ones may finish) ──► stop (the rest ends)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import asyncssh

from s3sftp.auth import Authenticator, AuthGateway, AuthOptions, Defender, Identity, Limits
from s3sftp.errors import ConfigurationError
from s3sftp.ssh import packet_fast_path
from s3sftp.ssh.admission_gate import ServerAdmissionGate
from s3sftp.ssh.algorithms import warn_of_weak
from s3sftp.ssh.connection import ListenerContext, OpenedSession, SshConnection
from s3sftp.ssh.connection_source import ConnectionSource, LocalConnectionSource
from s3sftp.ssh.listening_sockets import CannotListen
from s3sftp.ssh.login import TellLogin, tell_nobody
from s3sftp.ssh.options import ListenOptions, SshOptions
from s3sftp.ssh.sessions import OpenSession
from s3sftp.ssh.signature_algorithms import host_key_pairs
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")
_POLL_SECONDS = 0.05
_EXPIRY_SECONDS = 10.0
"""How often to look for users who have expired since they logged in."""
_LEAVE_SECONDS = 2.0
"""Seconds that a client may take to disconnect by itself once its sessions have ended."""


class Listener:
    """Accepts SSH connections and hands their channels to `open_session`."""

    def __init__(
        self,
        listen: ListenOptions,
        ssh: SshOptions,
        auth: AuthOptions,
        authenticator: Authenticator,
        host_keys: Sequence[asyncssh.SSHKey],
        open_session: OpenSession,
        connection_source: ConnectionSource | None = None,
        sessions_idle: timedelta = timedelta(0),
        other_descriptors: int = 0,
        metrics: Metrics | None = None,
        limits_of: Callable[[Identity], Limits] = lambda identity: identity.limits,
        tell_login: TellLogin = tell_nobody,
    ) -> None:
        """With `connection_source`, connections come from it instead of a listening socket of this listener;
        its own leaves `other_descriptors` file descriptors to the rest of the process.

        `sessions_idle` is how long sessions may be idle before they end, 0 without limit: no client is given
        up sooner for being silent. `limits_of` has the limits that hold for a user now, which may differ from
        those at the login. `tell_login` tells other systems of logins.
        """
        self._listen = listen
        self._options = ssh
        self._host_keys = host_key_pairs(host_keys, ssh.offer.signatures)
        if not self._host_keys:
            kinds = ", ".join(dict.fromkeys(key.get_algorithm() for key in host_keys))
            raise ConfigurationError(
                [
                    f"no host key can sign with what is offered: {kinds}; add one to ssh.host_keys, or its"
                    " algorithm to ssh.extra_algorithms"
                ]
            )
        metrics = metrics or Metrics()
        self._own: LocalConnectionSource | None = None
        self.defender: Defender | None = None
        """Bans sources; None if `connection_source` has admitted its connections."""
        if connection_source is None:
            gate = ServerAdmissionGate(ssh, auth, metrics)
            self.defender = gate.defender
            connection_source = self._own = LocalConnectionSource(gate, listen, other_descriptors)
        self._connection_source = connection_source
        self._shared = ListenerContext(
            ssh,
            AuthGateway(authenticator, auth),
            self._connection_source.gate,
            open_session,
            sessions_idle,
            limits_of,
            self._host_keys,
            metrics=metrics,
            tell_login=tell_login,
        )
        self._shared.fast_packets = ssh.fast_packets and packet_fast_path.is_supported()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._sending_away: set[asyncio.Task[None]] = set()
        self._expiring: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port, once started; 0 if connections come from `connection_source`."""
        return self._own.port if self._own else 0

    @property
    def connections(self) -> int:
        """The current number of connections."""
        return len(self._shared.connections)

    @property
    def busy(self) -> bool:
        """Whether any session has something under way."""
        return any(connection.busy for connection in self._shared.connections)

    async def start(self) -> None:
        """Start to listen.

        Raises CannotListen: if the address cannot be listened on.
        """
        if self._own is not None:
            warn_of_weak(self._options.offer)
        listening = asyncio.ensure_future(self._listening())
        try:
            self._acceptor = await asyncio.shield(listening)
        except OSError as error:
            raise CannotListen.because(self._listen, error) from error
        except asyncio.CancelledError:
            # asyncssh may still be about to start the connection source
            listening.add_done_callback(_close)
            if self._own is not None:
                self._own.close()
            raise
        self._expiring = asyncio.create_task(self._end_expired())
        if self._own is not None:
            _log.info("server.listening", host=self._listen.host or "*", port=self.port)

    async def _listening(self) -> asyncssh.SSHAcceptor:
        options, offer = self._options, self._options.offer
        return await asyncssh.listen(
            tunnel=self._connection_source,  # asyncssh listens where its tunnel does
            server_factory=lambda: SshConnection(self._shared),
            server_version=options.version,
            server_host_keys=self._host_keys,
            send_server_host_keys=True,
            config=None,
            x509_trusted_certs=None,
            kex_algs=offer.key_exchanges,
            encryption_algs=offer.ciphers,
            mac_algs=offer.macs,
            signature_algs=offer.signatures,
            compression_algs=("none",),
            rekey_bytes=options.rekey_bytes,
            public_key_auth=True,
            password_auth=True,
            kbdint_auth=True,
            host_based_auth=False,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            login_timeout=options.login_grace.total_seconds(),
            keepalive_interval=0,  # keepalive.py does this instead
            tcp_keepalive=True,
            utf8_decode_errors="replace",  # undecodable text is no reason to disconnect
            allow_pty=False,
            line_editor=False,
            x11_forwarding=False,
            agent_forwarding=False,
            allow_scp=False,
            encoding=None,
        )

    def open_sessions(self) -> list[OpenedSession]:
        """All sessions, for the operator."""
        return [each for connection in list(self._shared.connections) for each in connection.open_sessions()]

    def disconnect(self, session_id: str, reason: str) -> bool:
        """End the connection of a session, as `send_away`. Returns whether there is such a session."""
        for connection in list(self._shared.connections):
            if connection.has_session(session_id):
                self._send_away(connection, reason)
                return True
        return False

    def send_away(self, users: Collection[str], reason: str) -> None:
        """End the connections of these users: what they have under way is aborted, and nothing of it is
        published.

        Returns at once; further sessions of these users are refused from now on.
        """
        for connection in list(self._shared.connections):
            if connection.authenticated_user in users:
                self._send_away(connection, reason)

    def _send_away(self, connection: SshConnection, reason: str) -> None:
        if connection.is_leaving:  # it has said why
            return
        task = asyncio.create_task(connection.send_away(reason))
        self._sending_away.add(task)
        task.add_done_callback(self._sending_away.discard)

    async def _end_expired(self) -> None:
        """End the connections of users who expire while they are logged in."""
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            now = datetime.now(UTC)
            for connection in list(self._shared.connections):
                if (reason := connection.reason_to_end(now)) is not None:
                    self._send_away(connection, reason)

    async def stop_accepting(self) -> None:
        """Close the listening socket, and the connections that have not logged in."""
        self._shared.stopping = True
        if self._acceptor is not None:
            self._acceptor.close()  # not wait_closed: since Python 3.12 it waits for every connection
        for connection in list(self._shared.connections):
            if not connection.authenticated:
                connection.abort("the server is stopping")

    async def drain(self, limit_seconds: float) -> bool:
        """End sessions as they become idle, for at most this long. Returns whether all have ended."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_seconds
        while self.busy:
            await self._each_ends(only_idle=True)
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def stop(self) -> None:
        """End every session and close every connection."""
        await self.stop_accepting()
        await self._each_ends(only_idle=False)
        leaving = [connection.wait_closed() for connection in self._shared.connections]
        if leaving:
            waiting = [asyncio.ensure_future(gone) for gone in leaving]
            await asyncio.wait(waiting, timeout=_LEAVE_SECONDS)
            for connection in list(self._shared.connections):
                connection.disconnect("the server is stopping")
            await asyncio.wait(waiting, timeout=_LEAVE_SECONDS)
            for task in waiting:
                task.cancel()
        for task in self._sending_away:
            task.cancel()
        if self._expiring is not None:
            self._expiring.cancel()

    async def _each_ends(self, *, only_idle: bool) -> None:
        connections = list(self._shared.connections)
        await asyncio.gather(
            *(
                connection.end_sessions("the server is stopping", only_idle=only_idle)
                for connection in connections
            )
        )


def _close(listening: asyncio.Future[asyncssh.SSHAcceptor]) -> None:
    if not listening.cancelled() and listening.exception() is None:
        listening.result().close()
