"""Waits with the server's first KEXINIT for the client's, and offers AEAD ciphers alone to who knows one.

    client's version ─► wait ─┬─► client's KEXINIT lists AES-GCM ─► offer the AEAD ciphers of the offer
                              ├─► client's KEXINIT lists none ────► offer all
                              └─► `WAIT_SECONDS` have passed ─────► offer all

The client's order decides (RFC 4253, 7.1), and many clients list AES-GCM last, although it takes both sides
less CPU than counter mode with an HMAC. Neither side has to send its KEXINIT first, so the server can know
the client's list before it sends its own. Nothing is offered that is not in the configured offer. A list that
was sent stays as it is for the life of the connection: both sides choose from it again whenever keys are
renewed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from asyncssh.constants import MSG_KEXINIT

from s3sftp.ssh.negotiation import name_lists

WAIT_SECONDS = 0.5
"""Clients send their KEXINIT with their version, or right after it. A few wait for the server's: their login
takes that much longer."""
_CIPHERS_TO_SERVER, _CIPHERS_TO_CLIENT = 2, 3
"""Places of the name-lists in a KEXINIT (RFC 4253, 7.1)."""
_AEAD_PREFIXES = ("aes128-gcm", "aes256-gcm", "chacha20-poly1305")
_FAST_PREFIXES = ("aes128-gcm", "aes256-gcm")


def wait_for_client(conn: Any) -> LateKexInit:
    """Make a connection that has received nothing yet send its first KEXINIT after the client's."""
    late = LateKexInit(conn)
    received = conn._packet_handlers[MSG_KEXINIT]

    def receive(conn: Any, kind: int, number: int, packet: Any) -> Any:
        late.client_sent(packet.get_full_payload())
        return received(conn, kind, number, packet)

    conn._packet_handlers = {**conn._packet_handlers, MSG_KEXINIT: receive}
    conn._send_kexinit = late.hold
    return late


class LateKexInit:
    """The first KEXINIT of a connection, until it is sent."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._timer: asyncio.TimerHandle | None = None

    def hold(self) -> None:
        """Take the place of asyncssh's method that sends the first KEXINIT."""
        self._timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, self._send)

    def client_sent(self, kexinit: bytes) -> None:
        """Send ours, if it waits, after the client has sent this one."""
        if self._timer is not None:
            ciphers = [name.decode("ascii", "replace") for name in self._conn._enc_algs]
            self._conn._enc_algs = [name.encode() for name in offered_ciphers(ciphers, kexinit)]
            self._send()

    def cancel(self) -> None:
        """Send nothing any more: the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        self.cancel()
        del self._conn._send_kexinit  # from now on it is asyncssh's own
        self._conn._send_kexinit()


def offered_ciphers(ours: Sequence[str], client_kexinit: bytes) -> list[str]:
    """Those of our ciphers to offer to the client that has sent this KEXINIT. Pure.

    The AEAD ciphers alone, if the client lists an AES-GCM of ours in both directions; else all.
    """
    lists = name_lists(client_kexinit)
    if not lists:
        return list(ours)
    fast = {name for name in ours if name.startswith(_FAST_PREFIXES)}
    if fast.isdisjoint(lists[_CIPHERS_TO_SERVER]) or fast.isdisjoint(lists[_CIPHERS_TO_CLIENT]):
        return list(ours)
    return [name for name in ours if name.startswith(_AEAD_PREFIXES)]
