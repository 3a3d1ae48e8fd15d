"""Observes whether a connection shows an SSH client; reports health checks, port scans and other protocols.

opened ─► nothing, or something else ─► closed      counted, and logged once in ten minutes
       └► a PROXY header ─────────────► closed      logged separately, as it is not expected
       └► the version of a client                   an ordinary connection from here on
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncssh

from s3sftp.auth import Offence
from s3sftp.ssh import asyncssh_internals, proxy_header
from s3sftp.ssh.admission_gate import Peer
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.ssh")
LOG_SECONDS: Final = 600.0
"""Minimum interval of the log line about such connections: load balancers probe every few seconds."""
_VERSIONS: Final = (b"SSH-2.0-", b"SSH-1.99-")
"""What the version of a client begins with (RFC 4253, 4.2 and 5.1)."""
_DETAILS: Final = {
    "nothing": "a load balancer that checks whether the port is open, or a port scan",
    "something else": "a client of another protocol, such as an HTTP health check, or a port scan",
}
"""Explanations by what the connection has sent."""
_TURN_ON: Final = (
    "if this is your load balancer, set listen.proxy_protocol and add its address to listen.proxy_sources"
)
_TWO_HEADERS: Final = (
    "a second header followed the first: only the load balancer next to the server may send one"
)


class ClientSigns:
    """What a connection has shown of its client so far."""

    __slots__ = ("has_header", "has_sent", "is_client", "is_foreign")

    def __init__(self) -> None:
        self.is_client = False
        """The version of an SSH client has arrived."""
        self.has_sent = False
        """Something else has arrived."""
        self.has_header = False
        """A load balancer's header has arrived, which is logged separately."""
        self.is_foreign = False
        """Something has arrived that no version of an SSH client begins with."""

    def inspect(self, begins: bytes, peer: Peer, connection: str, throttle: LogThrottle) -> None:
        """Inspect first bytes that are not the client's version, or not all of it; warn of a PROXY header."""
        self.has_sent |= bool(begins)
        self.is_foreign |= not any(begins.startswith(each[: len(begins)]) for each in _VERSIONS)
        if not proxy_header.begins_one(begins):
            return
        self.has_header = True
        suppressed = throttle.allow("PROXY header", asyncio.get_running_loop().time())
        if suppressed is not None:
            advice = _TWO_HEADERS if peer.proxy or peer.is_proxys_own else _TURN_ON
            _log.warning(
                "connection.proxy_header_unexpected", connection=connection, **peer.fields, advice=advice
            )

    def offence(self, error: Exception | None) -> Offence | None:
        """What the client has done wrong if the connection ends with this error and without an attempt to log
        in. Health checks have done nothing wrong: they send nothing, or a load balancer's header."""
        if not self.is_client:
            return Offence.PROTOCOL if self.is_foreign and not self.has_header else None
        if asyncssh_internals.is_clients_fault(error):
            return Offence.PROTOCOL
        # a client without a common algorithm tries again and again, and the log says why
        return None if isinstance(error, asyncssh.KeyExchangeFailed) else Offence.NO_LOGIN

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
