"""What asyncssh has no public switch for, in one place. Each has a test that fails if asyncssh changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import asyncssh

_UNWANTED = {
    "_process_env_request": "env",
    "_process_pty_req_request": "pty",
    "_process_x11_req_request": "x11",
    "_process_auth_agent_req_at_openssh_dot_com_request": "agent",
    "_process_shell_request": "shell",
    "_process_exec_request": "exec",
}

_LEAST_PACKET_BYTES = 256


def refuse_requests(channel: Any, refused: Callable[[str], None]) -> None:
    """Refuse every request of a channel but the subsystem, and tell which it was.

    By itself asyncssh accepts and stores any number of environment variables, and decides on terminals
    and forwardings elsewhere.
    """
    for handler, kind in _UNWANTED.items():
        setattr(channel, handler, _refusal(kind, refused))


def refuse_tiny_packets(channel: Any) -> None:
    """Send away who takes packets of next to nothing: a window full of them holds up everybody else."""
    process_open = channel.process_open

    def checked(send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        if send_pktsize < _LEAST_PACKET_BYTES:
            raise asyncssh.ProtocolError("maximum packet size too small")
        process_open(send_chan, send_window, send_pktsize, session)

    channel.process_open = checked


def _refusal(kind: str, refused: Callable[[str], None]) -> Callable[[Any], bool]:
    def refuse(_packet: Any) -> bool:
        refused(kind)
        return False

    return refuse


def host_key_pairs(
    keys: Sequence[asyncssh.SSHKey], signatures: Collection[str]
) -> Sequence[asyncssh.SSHKeyPair]:
    """Host keys that sign with nothing but `signatures`: an RSA key would offer SHA-1 too."""
    pairs = asyncssh.load_keypairs(list(keys))
    for pair in pairs:
        pair.host_key_algorithms = _allowed(pair.host_key_algorithms, signatures)
    return pairs


def only_signatures(key: asyncssh.SSHKey, signatures: Collection[str]) -> None:
    """Make a user's key verify nothing but `signatures`: asyncssh announces its list, but takes others."""
    key.all_sig_algorithms = set(_allowed(tuple(key.all_sig_algorithms), signatures))


def _allowed(algorithms: Sequence[bytes], signatures: Collection[str]) -> tuple[bytes, ...]:
    return tuple(algorithm for algorithm in algorithms if algorithm.decode("ascii") in signatures)


def on_transport_pressure(conn: Any, paused: Callable[[], None], resumed: Callable[[], None]) -> None:
    """Hear when the socket of a connection is full and when it has room again.

    These are asyncio's protocol callbacks; asyncssh has them and does nothing in them.
    """
    conn.pause_writing = paused
    conn.resume_writing = resumed


def on_version(conn: Any, heard: Callable[[], None]) -> None:
    """Hear once when the client has sent its version: then asyncssh waits for packets instead."""
    receive = conn._recv_handler

    def receive_version() -> bool:
        more = bool(receive())
        if conn._recv_handler is not receive_version:
            heard()
        return more

    conn._recv_handler = receive_version
