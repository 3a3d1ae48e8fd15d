"""Wraps the private parts of asyncssh that have no public switch.

Each of them has a test that fails if asyncssh changes.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
from asyncssh.auth import MSG_USERAUTH_INFO_RESPONSE, get_supported_server_auth_methods
from asyncssh.constants import MSG_USERAUTH_FAILURE, MSG_USERAUTH_REQUEST
from asyncssh.logging import SSHLogger
from asyncssh.packet import Boolean, NameList, PacketDecodeError, SSHPacket, String
from asyncssh.saslprep import SASLPrepError, saslprep

from s3sftp.auth import is_certificate

_LEAST_PACKET_BYTES = 256
_LONGEST_HEAD_BYTES = 2048
"""Enough for the user, the service and the method of a login."""
_FIRST_BYTES = 16
MOST_LOGIN_BYTES = 8192
MOST_KEY_BYTES = 32768
"""For `publickey`: some CAs write much into a certificate."""
NO_TEXT = secrets.token_hex(32)
"""Stands for a password that is not valid text. Unknown outside this process."""


def refuse_tiny_packets(channel: Any) -> None:
    """Refuse clients that accept only tiny packets: sending a full window of them would delay
    everybody else."""
    process_open = channel.process_open

    def checked(send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        if send_pktsize < _LEAST_PACKET_BYTES:
            raise asyncssh.ProtocolError("maximum packet size too small")
        process_open(send_chan, send_window, send_pktsize, session)

    channel.process_open = checked


def keep_options(conn: Any) -> None:
    """Keep the options of a connection when its user is known.

    asyncssh reads its configuration files again then, in another thread, because they may say something of
    the user. There are none, so the result would always be the options that the connection has.
    """

    async def unchanged() -> None:
        """Does nothing."""

    conn.reload_config = unchanged


class _LevelFirst(SSHLogger):
    """asyncssh's logger, which turns all that it is given into text before it looks at the level."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            super().log(level, msg, *args, **kwargs)


def log_what_is_read(conn: Any) -> None:
    """Have a connection prepare no text for logs of asyncssh that nobody reads at their level."""
    conn._logger.__class__ = _LevelFirst


def check_logins(conn: Any) -> None:
    """Refuse logins with more data than any key or password needs, and let the owner refuse a password with
    NUL or invalid UTF-8, for which asyncssh would end the connection.

    asyncssh prepares a password character by character, on the event loop: the longest password that fits
    into a packet would block everybody for a second, before any authentication.

    The owner gets NO_TEXT in place of a password that is no text. Requests that are malformed in another way
    are left to asyncssh.
    """
    process_request = conn._packet_handlers[MSG_USERAUTH_REQUEST]

    def checked(conn: Any, kind: int, number: int, packet: Any) -> Any:
        payload = packet.get_full_payload()
        is_key = _method(payload) == b"publickey"
        if len(payload) > (MOST_KEY_BYTES if is_key else MOST_LOGIN_BYTES):
            raise asyncssh.ProtocolError("user authentication request too long")
        if not is_key:
            packet = _without_bad_password(payload) or packet
        return process_request(conn, kind, number, packet)

    conn._packet_handlers = {**conn._packet_handlers, MSG_USERAUTH_REQUEST: checked}


def _method(payload: bytes) -> bytes | None:
    """The method of a login; None if its head is malformed, or longer than any."""
    packet = SSHPacket(payload[:_LONGEST_HEAD_BYTES])
    try:
        packet.get_byte()
        return [packet.get_string() for _ in range(3)][2]
    except PacketDecodeError:
        return None


def _without_bad_password(payload: bytes) -> SSHPacket | None:
    """The request after its type byte, with NO_TEXT as the password; None if it may stay as it is."""
    packet = SSHPacket(payload)
    try:
        kind = packet.get_byte()
        user, service, method = (packet.get_string() for _ in range(3))
        if method != b"password":
            return None
        texts = [packet.get_string() for _ in range(1 + packet.get_boolean())]
        packet.check_end()
    except PacketDecodeError:
        return None
    try:
        for text in texts:
            saslprep(text.decode("utf-8"))
    except (UnicodeDecodeError, SASLPrepError):
        changed = String(user) + String(service) + String(method) + Boolean(False) + String(NO_TEXT)
        packet = SSHPacket(bytes([kind]) + changed)
        packet.get_byte()
        return packet
    return None


def take_certificates(conn: Any, validate: Callable[[str, bytes], Awaitable[asyncssh.SSHKey | None]]) -> None:
    """Have `validate` decide about OpenSSH certificates instead of asyncssh, which neither says why it
    refuses one, nor restricts the CA's signature, nor knows `verify-required`, and verifies that signature
    first.

    `validate` gets the user's name and the certificate, and returns the key that has to verify the client's
    signature. Other keys, and X.509 certificates, are left to asyncssh, which refuses the latter.
    """

    async def validated(username: str, key_data: bytes) -> asyncssh.SSHKey | None:
        return await validate(username, key_data) if is_certificate(key_data) else None

    conn._validate_client_certificate = validated


def take_any_response(conn: Any) -> None:
    """Accept responses to the current keyboard-interactive query that are not UTF-8, and so never a password.

    asyncssh would end the connection. Undecodable bytes become surrogates, which SASLprep forbids.
    """

    def received(auth: Any, _kind: int, _number: int, packet: Any) -> None:
        responses = [
            packet.get_string().decode("utf-8", "surrogateescape") for _ in range(packet.get_uint32())
        ]
        packet.check_end()
        auth.create_task(auth._validate_response(responses))

    conn._auth._packet_handlers = {MSG_USERAUTH_INFO_RESPONSE: received}


def offer_as_sshd_does(conn: Any) -> None:
    """List the authentication methods in sshd's order, which clients are tested with, instead of
    asyncssh's.

    asyncssh knows no partial success (RFC 4252, 5.1). The owner's `take_partial_success` says whether the
    attempt that failed for asyncssh has proven one factor of several.
    """

    def failure(_: bool) -> None:
        partial_success = conn.get_owner().take_partial_success()
        methods = get_supported_server_auth_methods(conn)
        conn._auth = None
        in_order = sorted(methods, key=lambda method: method == b"keyboard-interactive")
        conn.send_packet(MSG_USERAUTH_FAILURE, NameList(in_order), Boolean(partial_success))

    conn.send_userauth_failure = failure


def set_client_address(conn: Any, address: str, port: int) -> None:
    """Set the client's address in asyncssh, if the socket knows only a load balancer's."""
    conn._peer_addr, conn._peer_port = address, port
    conn.set_extra_info(peername=(address, port))


def kexinit_of(conn: Any) -> bytes:
    """The client's KEXINIT as received, to explain why nothing in it is in common."""
    payload: bytes = conn._client_kexinit
    return payload


def on_transport_pressure(conn: Any, paused: Callable[[], None], resumed: Callable[[], None]) -> None:
    """Call `paused` when the connection's socket is full and `resumed` when it accepts bytes again.

    These are asyncio's protocol callbacks, which asyncssh leaves empty.
    """
    conn.pause_writing = paused
    conn.resume_writing = resumed


def packets_received(conn: Any) -> int:
    """A number that changes whenever the client has sent a packet."""
    return int(conn._recv_seq)


def send_keepalive(conn: Any) -> None:
    """Send the client a keepalive request, unless it is not accepting what was sent before.

    asyncssh's own keepalive ends the connection after a number of unanswered requests, sets a timer for each
    chunk that it receives, and keeps a task for each request.
    """
    if conn._kex_complete and conn._transport is not None and not conn._transport.get_write_buffer_size():
        conn._send_global_request(b"keepalive@openssh.com", want_reply=True)


def is_clients_fault(error: Exception | None) -> bool:
    """Whether a connection has ended because the client broke the protocol.

    A DISCONNECT of the client that says so of the server becomes the same kind of error, but is not raised.
    """
    is_breach = isinstance(error, asyncssh.ProtocolError | asyncssh.MACError | asyncssh.CompressionError)
    return is_breach and error is not None and error.__traceback__ is not None


def on_version(conn: Any, received: Callable[[], None], other: Callable[[bytes], None]) -> None:
    """Call `received` once when the client has sent its version, after which asyncssh waits for packets.

    `other` is called with the first bytes of data that is no version, or not yet a complete one.
    """
    receive = conn._recv_handler

    def receive_version() -> bool:
        begins = bytes(conn._inpbuf[:_FIRST_BYTES])
        more = bool(receive())
        if conn._recv_handler is not receive_version:
            received()
        else:
            other(begins)
        return more

    conn._recv_handler = receive_version
