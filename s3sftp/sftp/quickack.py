"""Clients that send a request in two pieces, and wait in between.

paramiko puts a WRITE of 32 KiB into two SSH messages, and leaves Nagle's algorithm on (RFC 896): its kernel
holds the short second one back until the first is acknowledged. Ours acknowledges up to 40 ms late, in the
hope of an answer that it could go with, and there is none before the request is whole. So we ask for it.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it. It holds until the next answer, so that it has to be asked for each time."""


def quickack(connection: Any) -> None:
    """Have what came over a socket acknowledged now."""
    if _QUICKACK is not None and connection is not None:
        with suppress(OSError):  # it is closed, or no TCP
            connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
