"""Sends TCP acknowledgements at once to clients that send a request in two pieces.

paramiko splits a WRITE of 32 KiB into two SSH messages and leaves Nagle's algorithm on (RFC 896), so its
kernel holds the short second message back until the first is acknowledged. Our kernel delays the
acknowledgement by up to 40 ms to send it with an answer, but there is no answer before the request is
complete. Hence we request an immediate acknowledgement.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
"""The socket option of Linux; None elsewhere. The kernel resets it, so it has to be set each time."""


def quickack(connection: Any) -> None:
    """Acknowledge now what a socket has received. `connection` is a socket or None."""
    if _QUICKACK is not None and connection is not None:
        with suppress(OSError):  # the socket is closed, or not TCP
            connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
