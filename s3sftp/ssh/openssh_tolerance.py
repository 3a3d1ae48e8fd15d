"""Tolerates messages for which asyncssh ends a connection and OpenSSH's server does not.

    answers to no request                            phpseclib answers requests that want no answer
    messages for channels that are closed            a WINDOW_ADJUST in flight when both sides closed
    IGNORE, DEBUG, UNIMPLEMENTED of any shape        JSch and sshj keep alive by an IGNORE without its string
    EXT_INFO and USERAUTH_REQUEST when it is late    RFC 8308 (2.4), RFC 4252 (5.1)
    SERVICE_REQUEST again before the login           paramiko sends one before each method that it tries
    any message out of place                         a keepalive before the login, SERVICE_REQUEST after it
    a wrong guess in the key exchange                Dropbear's client guesses (RFC 4253, 7.1)

Clients are tested against OpenSSH, which accepts these. asyncssh finds a message's handler in a dict of the
connection or of the channel; the handlers for the messages above are replaced there. A message out of place
is answered as unimplemented. Everything else stays as strict as asyncssh is, above all what the strict key
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
"""The texts of the errors with which asyncssh ends a connection for a message before it has looked at it."""
_USERAUTH = b"ssh-userauth"
_COOKIE_END = 1 + 16
"""Where the name-lists of a KEXINIT begin: after its type and its cookie (RFC 4253, 7.1)."""
_GUESSES = -5
"""Where a KEXINIT says whether a guess follows: before its last field, which is a number."""
_OPEN = frozenset({"open"})
_NOT_CLOSED = frozenset({"open", "eof_pending", "eof"})

Handler = Callable[[Any, int, int, SSHPacket], Awaitable[None] | None]


def tolerate(conn: Any) -> None:
    """Make a connection that has received nothing yet accept the messages above.

    Its owner is called for some of them: `answered` for an answer to a request, `service_requested` when the
    client requests the authentication service again, and `misplaced` for each message out of place before the
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
    # data for standard error, which no server has, then ends its session and not the whole connection
    channel._read_datatypes = {ssh.EXTENDED_DATA_STDERR}


def ignore_requests(channel: Any) -> None:
    """Ignore further requests on a channel that is about to be closed; they would have to wait somewhere."""
    channel._packet_handlers = {**channel._packet_handlers, ssh.MSG_CHANNEL_REQUEST: _ignore}


def guessed_wrong(client_kexinit: bytes, server_kexinit: bytes) -> bool:
    """Whether to ignore the client's next key exchange packet, because it guessed wrong.

    A guess is right only if both sides list the same key exchange method first, and the same host key
    algorithm (RFC 4253, 7.1), whichever are chosen in the end.
    """
    if not client_kexinit[_GUESSES]:
        return False
    client, server = SSHPacket(client_kexinit), SSHPacket(server_kexinit)
    for packet in (client, server):
        packet.get_bytes(_COOKIE_END)
    return any(client.get_namelist()[:1] != server.get_namelist()[:1] for _ in range(2))


class _Channels(dict[int, Any]):
    """A connection's channels by number. A lookup of a closed channel finds an object that ignores all
    messages.

    Numbers are assigned in order, so nothing needs to be stored for closed channels.
    """

    def __init__(self, conn: Any) -> None:
        super().__init__(conn._channels)
        self._conn = conn

    def __missing__(self, number: int) -> _Absent:
        return _GONE if number < self._conn._next_recv_chan else _NEVER_OPENED


class _Absent:
    """Receives messages for a channel that does not exist."""

    def __init__(self, *, was_open: bool) -> None:
        self._was_open = was_open

    def log_received_packet(self, kind: int, seq: int, packet: SSHPacket, note: str = "") -> None:
        """Does nothing: there is no channel with a log."""

    def process_packet(self, kind: int, seq: int, packet: SSHPacket) -> bool:
        """Ignore a message for a closed channel. Returns False if the message type is unknown.

        Raises asyncssh.ProtocolError: if the number was never assigned.
        """
        if kind > ssh.MSG_CHANNEL_FAILURE:
            return False
        if not self._was_open:
            raise asyncssh.ProtocolError("message for a channel that was never open")
        return True


_GONE = _Absent(was_open=True)
_NEVER_OPENED = _Absent(was_open=False)


def _strict(receiver: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """Apply asyncssh's own handling."""
    handled: Awaitable[None] | None = type(receiver)._packet_handlers[kind](receiver, kind, seq, packet)
    return handled


def _answer_unimplemented(conn: Any, number: int) -> None:
    if not conn._auth_complete:
        conn.get_owner().misplaced()
    conn.send_packet(ssh.MSG_UNIMPLEMENTED, UInt32(number))


def _unimplemented(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """Answer as for an unknown message type. In the clear it violates the key exchange, as in asyncssh."""
    if not conn._recv_encryption:
        return _strict(conn, kind, seq, packet)
    _answer_unimplemented(conn, seq)
    return None


def _ignore(_: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    """Ignore it: this server opens no channels, and requests no answers on those of a client."""


def _answer(conn: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    """The content does not matter: the only request of this server is the keepalive."""
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
    """Ignore it: a server has no use for it. In the clear it violates the key exchange, as in asyncssh."""
    return None if conn._recv_encryption else _strict(conn, kind, seq, packet)


def _userauth_request(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    return None if conn._auth_complete else _strict(conn, kind, seq, packet)


def _service_request(conn: Any, kind: int, seq: int, packet: SSHPacket) -> Awaitable[None] | None:
    """Accept repeated requests for the service until the login is complete; what was counted stays counted.

    A client that repeats it without waiting for the answer to a password may have logged in by that password.
    """
    if conn._auth_complete:
        return _unimplemented(conn, kind, seq, packet)
    if conn._auth_in_progress:
        conn.get_owner().service_requested()
        conn._next_service = _USERAUTH
    return _strict(conn, kind, seq, packet)


async def _kexinit(conn: Any, kind: int, seq: int, packet: SSHPacket) -> None:
    """No other message is received meanwhile, so the guess can be judged afterwards."""
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
