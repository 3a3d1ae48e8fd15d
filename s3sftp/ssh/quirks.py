"""What asyncssh has no public switch for, in one place. Each has a test that fails if asyncssh changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncssh
from asyncssh.auth import get_supported_server_auth_methods
from asyncssh.constants import MSG_USERAUTH_FAILURE, MSG_USERAUTH_REQUEST
from asyncssh.packet import Boolean, NameList

_LEAST_PACKET_BYTES = 256
MOST_LOGIN_BYTES = 8192


def refuse_tiny_packets(channel: Any) -> None:
    """Send away who takes packets of next to nothing: a window full of them holds up everybody else."""
    process_open = channel.process_open

    def checked(send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        if send_pktsize < _LEAST_PACKET_BYTES:
            raise asyncssh.ProtocolError("maximum packet size too small")
        process_open(send_chan, send_window, send_pktsize, session)

    channel.process_open = checked


def refuse_long_logins(conn: Any) -> None:
    """Send away who logs in with more than any key or password needs.

    asyncssh prepares a password character by character, on the event loop: of the longest that fits into a
    packet it would hold up everybody for a second, before anybody has logged in.
    """
    process_request = conn._packet_handlers[MSG_USERAUTH_REQUEST]

    def checked(conn: Any, kind: int, number: int, packet: Any) -> Any:
        if len(packet.get_full_payload()) > MOST_LOGIN_BYTES:
            raise asyncssh.ProtocolError("user authentication request too long")
        return process_request(conn, kind, number, packet)

    conn._packet_handlers = {**conn._packet_handlers, MSG_USERAUTH_REQUEST: checked}


def offer_as_sshd_does(conn: Any) -> None:
    """Name the methods in sshd's order, which clients are tested with; asyncssh's has another."""

    def failure(partial_success: bool) -> None:
        methods = get_supported_server_auth_methods(conn)
        conn._auth = None
        in_order = sorted(methods, key=lambda method: method == b"keyboard-interactive")
        conn.send_packet(MSG_USERAUTH_FAILURE, NameList(in_order), Boolean(partial_success))

    conn.send_userauth_failure = failure


def kexinit_of(conn: Any) -> bytes:
    """The client's KEXINIT as it came, for what to say when nothing in it is in common."""
    payload: bytes = conn._client_kexinit
    return payload


def on_transport_pressure(conn: Any, paused: Callable[[], None], resumed: Callable[[], None]) -> None:
    """Hear when the socket of a connection is full and when it has room again.

    These are asyncio's protocol callbacks; asyncssh has them and does nothing in them.
    """
    conn.pause_writing = paused
    conn.resume_writing = resumed


def packets_received(conn: Any) -> int:
    """A number that is another one whenever the client has sent a packet since."""
    return int(conn._recv_seq)


def ask(conn: Any) -> None:
    """Send the client something to answer, unless it does not take what it was sent before.

    asyncssh's own keepalive ends the connection after a number of unanswered ones, sets a timer for each
    chunk that it receives, and keeps a task for each question.
    """
    if conn._kex_complete and conn._transport is not None and not conn._transport.get_write_buffer_size():
        conn._send_global_request(b"keepalive@openssh.com", want_reply=True)


def on_version(conn: Any, heard: Callable[[], None]) -> None:
    """Hear once when the client has sent its version: then asyncssh waits for packets instead."""
    receive = conn._recv_handler

    def receive_version() -> bool:
        more = bool(receive())
        if conn._recv_handler is not receive_version:
            heard()
        return more

    conn._recv_handler = receive_version
