"""What asyncssh has no public switch for, in one place. Each has a test that fails if asyncssh changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import asyncssh

_LEAST_PACKET_BYTES = 256


def refuse_tiny_packets(channel: Any) -> None:
    """Send away who takes packets of next to nothing: a window full of them holds up everybody else."""
    process_open = channel.process_open

    def checked(send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        if send_pktsize < _LEAST_PACKET_BYTES:
            raise asyncssh.ProtocolError("maximum packet size too small")
        process_open(send_chan, send_window, send_pktsize, session)

    channel.process_open = checked


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
