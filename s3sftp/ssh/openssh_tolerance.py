"""What asyncssh ends a connection for, and OpenSSH's server does not.

    answers that nobody asked for                    phpseclib answers requests that want no answer
    messages for channels that are closed            a WINDOW_ADJUST on its way when both sides closed
    IGNORE, DEBUG, UNIMPLEMENTED of any shape        JSch and sshj keep alive by an IGNORE without its string
    EXT_INFO and USERAUTH_REQUEST when it is late    RFC 8308 (2.4), RFC 4252 (5.1)
    SERVICE_REQUEST again before the login           paramiko sends one before each method that it tries
    everything that does not belong where it comes   a keepalive before the login, SERVICE_REQUEST after it
    a wrong guess in the key exchange                Dropbear's client guesses (RFC 4253, 7.1)

Clients were written against OpenSSH and never noticed. asyncssh finds a message's handler in a dict of the
connection, or of the channel; those above are replaced there. What does not belong where it comes is
answered as unimplemented. Everything else stays as strict as asyncssh is, above all what the strict key
exchange forbids in the clear.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import asyncssh
from asyncssh import constants as ssh
from asyncssh.packet import PacketDecodeError, SSHPacket, UInt32

_OUT_OF_PLACE = frozenset(
    {
        "Key exchange not in progress",
        "Authentication not in progress",
        "Invalid request before authentication was complete",
    }
)
"""Why asyncssh ends a connection for a message that it has not even looked at: the texts of its errors."""
_USERAUTH = b"ssh-userauth"
_COOKIE_END = 1 + 16
"""Where the name-lists of a KEXINIT begin: behind its type and its cookie (RFC 4253, 7.1)."""
_NAME_LISTS = 10
_OPEN = frozenset({"open"})
_NOT_CLOSED = frozenset({"open", "eof_pending", "eof"})

Handler = Callable[[Any, int, int, SSHPacket], Awaitable[None] | None]


def tolerate(conn: Any) -> None:
    """Let a connection, that has received nothing yet, take the messages above.

    Its owner is told of some: of an answer to a request by `answered`, by `service_requested` that the client
    asks for the login's service again, and by `misplaced` of each message that does not belong before the
    login. The last two may raise asyncssh.DisconnectError.
    """
    conn._packet_handlers = {**conn._packet_handlers, **_OF_CONNECTIONS}
    conn._channels = _Channels(conn)

    def receive_packet() -> bool:
        number = conn._recv_seq
        try:
            return bool(type(conn)._recv_packet(conn))
        except asyncssh.ProtocolError as error:
            if error.reason not in _OUT_OF_PLACE or not conn._recv_encryption:
                raise
        _answer_unimplemented(conn, number)
        conn._finish_recv_packet(ssh.MSG_UNIMPLEMENTED, number)
        return True

    conn._recv_packet = receive_packet


def tolerate_on_channel(channel: Any) -> None:
    """The same for a channel that is not open yet."""
    channel._packet_handlers = {**channel._packet_handlers, **_OF_CHANNELS}
    # what is no standard error to a server ends the session that it comes to, not the connection
    channel._read_datatypes = {ssh.EXTENDED_DATA_STDERR}


def ignore_requests(channel: Any) -> None:
    """Let a channel that is about to be closed take no more requests, which would have to wait somewhere."""
    channel._packet_handlers = {**channel._packet_handlers, ssh.MSG_CHANNEL_REQUEST: _ignore}


def guessed_wrong(client_kexinit: bytes, server_kexinit: bytes) -> bool:
    """Whether the client's next packet of the key exchange is to be ignored: it guessed, and wrong.

    A guess is right only if both sides name the same key exchange method first, and the same host key
    algorithm (RFC 4253, 7.1), whatever is chosen in the end.
    """
    client, server = SSHPacket(client_kexinit), SSHPacket(server_kexinit)
    for packet in (client, server):
        packet.get_bytes(_COOKIE_END)
    agreed = [client.get_namelist()[:1] == server.get_namelist()[:1] for _ in range(2)]
    for _ in range(_NAME_LISTS - 2):
        client.get_string()
    return client.get_boolean() and not all(agreed)


class _Channels(dict[int, Any]):
    """A connection's channels by number. Who looks up one that is gone finds somebody who ignores it all.

    Numbers are handed out in order, so nothing needs to be kept of those that are gone.
    """

    def __init__(self, conn: Any) -> None:
        super().__init__(conn._channels)
        self._conn = conn

    def __missing__(self, number: int) -> _Absent:
        return _GONE if number < self._conn._next_recv_chan else _NEVER_OPENED


class _Absent:
    """Takes messages in place of a channel that is not there."""

    def __init__(self, *, was_open: bool) -> None:
        self._was_open = was_open

    def log_received_packet(self, kind: int, seq: int, packet: SSHPacket, note: str = "") -> None:
        """There is no channel whose log it could go to."""

    def process_packet(self, kind: int, seq: int, packet: SSHPacket) -> bool:
        """False: no such message is known. Raises asyncssh.ProtocolError for a number never handed out."""
        if kind > ssh.MSG_CHANNEL_FAILURE:
            return False
        if not self._was_open:
            raise asyncssh.ProtocolError("message for a channel that was never open")
        return True


_GONE = _Absent(was_open=True)
_NEVER_OPENED = _Absent(was_open=False)


def _strict(receiver: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """Do what asyncssh does."""
    handled: Awaitable[None] | None = type(receiver)._packet_handlers[kind](receiver, kind, seq, packet)
    return handled


def _answer_unimplemented(conn: Any, number: int) -> None:
    if not conn._auth_complete:
        conn.get_owner().misplaced()
    conn.send_packet(ssh.MSG_UNIMPLEMENTED, UInt32(number))


def _unimplemented(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """As for a message of an unknown type. In the clear it is a breach of the key exchange, as it was."""
    if not conn._recv_encryption:
        return _strict(conn, kind, seq, packet)
    _answer_unimplemented(conn, seq)
    return None


def _ignore(_: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    """This server opens no channel, and asks for no answer on those of a client."""


def _answer(conn: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    """What it says does not matter: this server asks nothing but whether the client is there."""
    if owner := conn.get_owner():
        owner.answered()


def _ignore_if_malformed(conn: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    with suppress(PacketDecodeError, asyncssh.ProtocolError):
        _strict(conn, kind, seq, packet)


def _ignore_unless_in(states: frozenset[str]) -> Handler:
    def received(channel: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
        return _strict(channel, kind, seq, packet) if channel._recv_state in states else None

    return received


def _ext_info(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """A server has no use for it. In the clear it is a breach of the key exchange, as it was."""
    return None if conn._recv_encryption else _strict(conn, kind, seq, packet)


def _userauth_request(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    return None if conn._auth_complete else _strict(conn, kind, seq, packet)


def _service_request(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """Until the login ends the service may be asked for again; what was counted stays counted.

    Who asks once more without having waited for the answer to a password may have logged in by it.
    """
    if conn._auth_complete:
        return _unimplemented(conn, kind, seq, packet)
    if conn._auth_in_progress:
        conn.get_owner().service_requested()
        conn._next_service = _USERAUTH
    return _strict(conn, kind, seq, packet)


async def _kexinit(conn: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    """Nothing else is received meanwhile, so it is soon enough to judge the guess afterwards."""
    await type(conn)._packet_handlers[kind](conn, kind, seq, packet)
    conn._ignore_first_kex = guessed_wrong(conn._client_kexinit, conn._server_kexinit)


_OF_CONNECTIONS: Mapping[int, Handler] = {
    ssh.MSG_IGNORE: _ignore_if_malformed,
    ssh.MSG_UNIMPLEMENTED: _ignore_if_malformed,
    ssh.MSG_DEBUG: _ignore_if_malformed,
    ssh.MSG_SERVICE_REQUEST: _service_request,
    ssh.MSG_SERVICE_ACCEPT: _unimplemented,
    ssh.MSG_EXT_INFO: _ext_info,
    ssh.MSG_KEXINIT: _kexinit,
    ssh.MSG_USERAUTH_REQUEST: _userauth_request,
    ssh.MSG_USERAUTH_FAILURE: _unimplemented,
    ssh.MSG_USERAUTH_SUCCESS: _unimplemented,
    ssh.MSG_USERAUTH_BANNER: _unimplemented,
    ssh.MSG_REQUEST_SUCCESS: _answer,
    ssh.MSG_REQUEST_FAILURE: _answer,
    ssh.MSG_CHANNEL_OPEN_CONFIRMATION: _ignore,
    ssh.MSG_CHANNEL_OPEN_FAILURE: _ignore,
}

_OF_CHANNELS: Mapping[int, Handler] = {
    ssh.MSG_CHANNEL_WINDOW_ADJUST: _ignore_unless_in(_NOT_CLOSED),
    ssh.MSG_CHANNEL_DATA: _ignore_unless_in(_OPEN),
    ssh.MSG_CHANNEL_EXTENDED_DATA: _ignore_unless_in(_OPEN),
    ssh.MSG_CHANNEL_EOF: _ignore_unless_in(_OPEN),
    ssh.MSG_CHANNEL_CLOSE: _ignore_unless_in(_NOT_CLOSED),
    ssh.MSG_CHANNEL_REQUEST: _ignore_unless_in(_NOT_CLOSED),
    ssh.MSG_CHANNEL_SUCCESS: _ignore,
    ssh.MSG_CHANNEL_FAILURE: _ignore,
}
