"""Connections on which no SSH client shows itself: health checks, port scans, other protocols.

opened ─► nothing, or something else ─► closed      counted, and told once in ten minutes
       └► a PROXY header ─────────────► closed      told by itself, as it is not expected
       └► the version of a client                   a connection like any other from here on
"""

from __future__ import annotations

import asyncio
from typing import Final

from s3sftp.ssh.admission_gate import Peer
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.ssh")
TELL_SECONDS: Final = 600.0
"""How often to say that such connections came: load balancers look every few seconds."""
_DETAILS: Final = {
    "nothing": "a load balancer that checks whether the port is open, or a port scan",
    "something else": "a client of another protocol, such as an HTTP health check, or a port scan",
}
"""What it may have been, by what it sent."""


class ClientSigns:
    """What a connection has shown of its client so far."""

    __slots__ = ("has_header", "has_sent", "is_client")

    def __init__(self) -> None:
        self.is_client = False
        """The version of an SSH client has come."""
        self.has_sent = False
        """Something else has come."""
        self.has_header = False
        """It was a load balancer's, of which the log tells by itself."""

    def tell_end(self, peer: Peer, told: LogThrottle) -> None:
        """The connection has closed: if no client was on it, say so once in a while, with how many there
        were."""
        if self.is_client or self.has_header or peer.is_proxys_own:
            return
        kind = "something else" if self.has_sent else "nothing"
        untold = told.tell(kind, asyncio.get_running_loop().time())
        if untold is not None:
            _log.info(
                "connection.no_client",
                connections=untold + 1,
                **peer.fields,
                sent=kind,
                detail=_DETAILS[kind],
            )
