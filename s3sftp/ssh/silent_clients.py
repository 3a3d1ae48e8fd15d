"""Summarizes connections that show no SSH client: health checks, port scans, other protocols.

opened ─► nothing, or something else ─► closed      counted, and logged once in ten minutes
       └► a PROXY header ─────────────► closed      logged separately, as it is not expected
       └► the version of a client                   an ordinary connection from here on
"""

from __future__ import annotations

import asyncio
from typing import Final

from s3sftp.ssh.admission_gate import Peer
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.ssh")
LOG_SECONDS: Final = 600.0
"""Minimum interval of the log line about such connections: load balancers probe every few seconds."""
_DETAILS: Final = {
    "nothing": "a load balancer that checks whether the port is open, or a port scan",
    "something else": "a client of another protocol, such as an HTTP health check, or a port scan",
}
"""Explanations by what the connection has sent."""


class ClientSigns:
    """What a connection has shown of its client so far."""

    __slots__ = ("has_header", "has_sent", "is_client")

    def __init__(self) -> None:
        self.is_client = False
        """The version of an SSH client has arrived."""
        self.has_sent = False
        """Something else has arrived."""
        self.has_header = False
        """A load balancer's header has arrived, which is logged separately."""

    def log_end(self, peer: Peer, throttle: LogThrottle) -> None:
        """Handle the end of the connection: if it showed no client, log it at intervals, with the number of
        such connections."""
        if self.is_client or self.has_header or peer.is_proxys_own:
            return
        kind = "something else" if self.has_sent else "nothing"
        suppressed = throttle.allow(kind, asyncio.get_running_loop().time())
        if suppressed is not None:
            _log.info(
                "connection.no_client",
                connections=suppressed + 1,
                **peer.fields,
                sent=kind,
                detail=_DETAILS[kind],
            )
