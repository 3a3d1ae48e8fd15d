"""One connection of a server to S3, as the relay sees it: requests and answers by turns, or opaque bytes.

server → S3   head (read, counted), body (spliced, counted down from its Content-Length)
S3 → server   the first bytes of an answer (read; held back for the latency), the rest (spliced)
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from bench.relay.flow import Flow
from testbed.request_log import headers_of, seen_from

PIECE = 1 << 16
_HEAD_END = b"\r\n\r\n"
_UNKNOWN = 1 << 62
"""Length of a body that does not announce it: it ends where the answer begins."""


@dataclass(frozen=True)
class Shape:
    """How far away S3 is made."""

    latency: float = 0.0
    """Seconds that the first byte of each answer is held back."""
    bytes_per_second: float = 0.0
    """Of each connection, in each direction; 0: no limit."""
    opaque: bool = False
    """Whether all bytes pass unread, as those of TLS have to: no request is counted, no answer is late."""

    def __post_init__(self) -> None:
        if self.opaque and self.latency:
            raise ValueError("where an answer begins is not seen in opaque bytes, so none can be held back")


class RelayedConnection:
    """Relays one connection until either side ends it."""

    def __init__(
        self,
        client: socket.socket,
        upstream: socket.socket,
        shape: Shape,
        count: Callable[[str], None],
        on_end: Callable[[RelayedConnection], None],
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._shape = shape
        self._count = count
        self._on_end = on_end
        self._head = b""
        self._body_left = 0
        self._awaiting_answer = False
        self._up = Flow(client, upstream, shape.bytes_per_second, self.close)
        self._down = Flow(upstream, client, shape.bytes_per_second, self.close)
        if not shape.opaque:
            self._up.intercept, self._up.most = self._intercept_request, lambda: self._body_left
            self._up.passed = self._sent
            self._down.intercept = self._intercept_answer

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes so far: to S3, and from it."""
        return self._up.moved, self._down.moved

    def start(self) -> None:
        self._up.start()
        self._down.start()

    def close(self) -> None:
        for part in (self._up, self._down, self._client, self._upstream):
            part.close()
        self._on_end(self)

    def _intercept_request(self) -> bool:
        if self._body_left:
            return False
        data = self._client.recv(PIECE)
        if not data:
            self._up.end()
            return True
        self._take_head(data)
        return True

    def _take_head(self, data: bytes) -> None:
        self._head += data
        end = self._head.find(_HEAD_END)
        if end < 0:
            return
        whole, self._head = self._head, b""
        end += len(_HEAD_END)
        self._count(seen_from(whole[:end]).api)
        self._body_left = max(0, body_length(whole[:end]) - (len(whole) - end))
        self._awaiting_answer = True
        self._up.put(whole)

    def _sent(self, amount: int) -> None:
        self._body_left -= amount

    def _intercept_answer(self) -> bool:
        if not self._awaiting_answer:
            return False
        data = self._upstream.recv(PIECE)
        if not data:
            self._down.end()
        elif data.startswith(b"HTTP/1.1 100"):
            self._continue(data)
        else:
            self._begin_answer(data)
        return True

    def _continue(self, data: bytes) -> None:
        end = data.find(_HEAD_END) + len(_HEAD_END)
        self._down.put(data[:end])
        if data[end:]:
            self._begin_answer(data[end:])

    def _begin_answer(self, data: bytes) -> None:
        self._awaiting_answer = False
        if self._body_left > _UNKNOWN // 2:
            self._body_left = 0
        if self._shape.latency:
            self._down.pause(self._shape.latency, lambda: self._down.put(data))
        else:
            self._down.put(data)


def body_length(head: bytes) -> int:
    """How many bytes follow the head of a request."""
    headers = headers_of(head.decode("latin-1").split("\r\n")[1:])
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _UNKNOWN
    return int(headers.get("content-length", 0))
