"""Reads the PROXY protocol header on connections from load balancers, to find out who the client is.

    accepted ──► from a trusted source: wait for the header ──► admitted with the client's address
             │                              ├── none, and none is required ──► admitted with its own address
             │                              ├── closed again: a health check
             │                              └── invalid, cut, late, or missing though required ──► refused
             └─► from any other: admitted with its own address, or refused if a header is required

The header is peeked at in the socket and consumed when it is complete: no byte after it is touched.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from s3sftp.ssh import proxy_header
from s3sftp.ssh.admission_gate import Peer
from s3sftp.ssh.options import ListenOptions
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.ssh")
HEADER_SECONDS = 3.0
"""Time limit for the header, which load balancers send at once. `ssh.login_grace` begins afterwards."""
_CHECK_SECONDS = 0.25
"""A health check closes within this time after its header, and then there was no client."""
MAX_WAITING = 256
"""Maximum number of connections whose header is awaited. Each needs a descriptor; when the limit is reached,
the oldest of the source with the most is closed."""
_RECHECK_SECONDS = 0.05
"""Delay before a partial header is checked again. The socket is not watched meanwhile, because data that
stays in it would trigger its reader again and again. Load balancers send the whole header at once."""
_LOG_SECONDS = 60.0
_SEND_ONE = (
    "have the load balancer send the header: send-proxy-v2 (haproxy), proxy_protocol on (nginx), "
    "proxy_protocol_v2.enabled (AWS NLB); or set listen.proxy_protocol to allowed or off"
)
_NAME_IT = "if this is your load balancer, add its address to listen.proxy_sources"
_ONE_HEADER = "the load balancer must send the whole header at once, before anything else"

Admit = Callable[[socket.socket, Peer], None]


@dataclass(eq=False, slots=True)
class _Waiting:
    """A connection that was accepted from a trusted source."""

    sock: socket.socket
    peer: Peer
    deadline: asyncio.TimerHandle | None = None
    recheck: asyncio.TimerHandle | None = None
    has_begun: bool = False
    """A part of a header has arrived."""
    header_read: bool = False
    """The header is the load balancer's own: the connection is watched for whether it closes again."""


class TrustedProxies:
    """Determines the client of each connection. `admit` is called with those that stay."""

    def __init__(self, listen: ListenOptions, admit: Admit, count_refused: Callable[[], None]) -> None:
        self._mode = listen.proxy_protocol
        self._networks = [ipaddress.ip_network(text) for text in listen.proxy_sources]
        self._admit = admit
        self._count_refused = count_refused
        self._waiting: dict[_Waiting, None] = {}  # in order of arrival
        self._throttle = LogThrottle(_LOG_SECONDS)
        if self._mode != "off" and any(network.prefixlen == 0 for network in self._networks):
            _log.warning(
                "listener.proxy_sources_unrestricted",
                option="listen.proxy_sources",
                detail="anybody who reaches the port can claim any address: list only the load balancers",
            )

    def accept(self, sock: socket.socket, peer: Peer) -> None:
        """Handle a connection that was just accepted."""
        if self._mode == "off":
            self._admit(sock, peer)
        elif self._trusts(peer.address):
            self._wait(sock, peer)
        elif self._mode == "required":
            self._log_refused("no trusted proxy", "not from a trusted proxy", _NAME_IT, {"peer": peer.shown})
            sock.close()
        else:
            self._admit(sock, peer)

    def close(self) -> None:
        """Close all connections whose header is awaited."""
        for each in list(self._waiting):
            self._forget(each).close()

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    # -- waiting for the header

    def _wait(self, sock: socket.socket, peer: Peer) -> None:
        sock.setblocking(False)
        waiting = _Waiting(sock, peer)
        self._make_room()
        self._waiting[waiting] = None
        self._watch(waiting, HEADER_SECONDS)
        self._inspect(waiting)

    def _watch(self, waiting: _Waiting, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        waiting.deadline = loop.call_later(seconds, self._too_late, waiting)
        loop.add_reader(waiting.sock.fileno(), self._inspect, waiting)

    def _make_room(self) -> None:
        if len(self._waiting) < MAX_WAITING:
            return
        ((greediest, _),) = Counter(each.peer.address for each in self._waiting).most_common(1)
        oldest = next(each for each in self._waiting if each.peer.address == greediest)
        self._refuse(oldest, "too many", "too many connections without their PROXY header", _ONE_HEADER)

    def _inspect(self, waiting: _Waiting) -> None:
        """Handle that bytes have arrived, or that the other side has closed."""
        try:
            data = waiting.sock.recv(proxy_header.MAX_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # reset: how haproxy ends a health check
            data = b""
        if not data:  # closed without a byte of SSH: it only checked whether the port is open
            self._forget(waiting).close()
        elif waiting.header_read:
            self._release(waiting, waiting.peer)
        else:
            self._judge(waiting, proxy_header.parse(data))

    def _judge(self, waiting: _Waiting, parsed: proxy_header.Parsed) -> None:
        match parsed:
            case proxy_header.ProxyHeader():
                waiting.sock.recv(parsed.length)
                self._identified(waiting, parsed)
            case proxy_header.MalformedHeader(reason):
                self._refuse(waiting, "wrong", f"wrong PROXY header: {reason}", _ONE_HEADER)
            case proxy_header.NoHeader() if self._mode == "required":
                self._refuse(waiting, "none", "no PROXY header", _SEND_ONE)
            case proxy_header.NoHeader():
                self._release(waiting, waiting.peer)
            case None:
                waiting.has_begun = True
                loop = asyncio.get_running_loop()
                loop.remove_reader(waiting.sock.fileno())
                waiting.recheck = loop.call_later(_RECHECK_SECONDS, self._inspect, waiting)

    def _identified(self, waiting: _Waiting, header: proxy_header.ProxyHeader) -> None:
        peer = waiting.peer
        named = Peer.of(header.client) if header.client else peer
        is_itself = (named.address, named.port) == (peer.address, peer.port)
        # version 1 has no LOCAL: health checks give the two ends of their own connection
        if header.client is not None and not (is_itself and header.version == 1):
            self._release(waiting, Peer(named.address, named.port, proxy=peer.shown))
            return
        waiting.header_read = True
        waiting.peer = Peer(peer.address, peer.port, is_proxys_own=True)
        if waiting.deadline is not None:
            waiting.deadline.cancel()
        self._watch(waiting, _CHECK_SECONDS)
        self._inspect(waiting)

    def _too_late(self, waiting: _Waiting) -> None:
        if waiting.header_read or (not waiting.has_begun and self._mode == "allowed"):
            self._release(waiting, waiting.peer)  # some clients wait for the server's version
        elif waiting.has_begun:
            self._refuse(waiting, "cut", "incomplete PROXY header", _ONE_HEADER)
        else:
            self._refuse(waiting, "none", "no PROXY header", _SEND_ONE)

    # -- the end of waiting

    def _release(self, waiting: _Waiting, peer: Peer) -> None:
        self._admit(self._forget(waiting), peer)

    def _refuse(self, waiting: _Waiting, kind: str, reason: str, advice: str) -> None:
        self._forget(waiting).close()
        self._log_refused(kind, reason, advice, {"proxy": waiting.peer.shown})

    def _forget(self, waiting: _Waiting) -> socket.socket:
        self._waiting.pop(waiting, None)
        for timer in (waiting.deadline, waiting.recheck):
            if timer is not None:
                timer.cancel()
        asyncio.get_running_loop().remove_reader(waiting.sock.fileno())
        return waiting.sock

    def _log_refused(self, kind: str, reason: str, advice: str, where: dict[str, str]) -> None:
        self._count_refused()
        suppressed = self._throttle.allow(kind, asyncio.get_running_loop().time())
        if suppressed is not None:
            _log.warning("connection.refused", **where, reason=reason, advice=advice, suppressed=suppressed)
