"""Writes a request and reads the head of its reply on an HTTP/1.1 connection.

h11 formats, parses and validates them; this module determines how the body is delimited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h11

HEAD_LIMIT = 64 << 10
"""Maximum bytes before the body, including interim replies."""
_FIRST_ROOM = 16 << 10
_BLANK_LINE = b"\r\n\r\n"
_BODILESS = frozenset({204, 304})
NO_BODY = memoryview(b"")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The status and headers of a reply."""

    status: int
    headers: Mapping[str, str]
    """Header names are in lower case."""
    length: int | None
    """Bytes of the body. None: it is chunked, or ends with the connection."""
    keeps: bool
    """Whether the connection may serve another request after the body."""


class ResponseHeadReader:
    """Receives the head of one reply, and keeps the bytes of the body that arrive with it."""

    def __init__(self, request: h11.Request, body: memoryview = NO_BODY) -> None:
        self.codec = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        """Parses the body if `length` is None."""
        self.request = self.codec.send(request) or b""
        """The bytes to send before the request's body. The body passes h11, which only counts it."""
        if body:
            self.codec.send_with_data_passthrough(h11.Data(data=body))  # type: ignore[arg-type]
        self.codec.send(h11.EndOfMessage())
        self._is_bodiless = request.method == b"HEAD"
        self.received = 0
        self._buffer = bytearray(_FIRST_ROOM)
        self._parsed = 0

    def room(self) -> memoryview:
        """Return where to receive bytes: a small buffer of its own, since most replies have small heads."""
        if self.received == len(self._buffer):
            self._buffer = bytearray(self._buffer) + bytes(len(self._buffer))
        return memoryview(self._buffer)[self.received :]

    def came(self, count: int) -> ResponseHead | None:
        """Process `count` received bytes; return the head once it is complete. Raises
        h11.RemoteProtocolError: if it is invalid."""
        searched, self.received = self.received, self.received + count
        while True:
            at = self._buffer.find(_BLANK_LINE, max(self._parsed, searched - 3), self.received)
            if (self.received if at < 0 else at) > HEAD_LIMIT:
                raise h11.RemoteProtocolError("the head of the answer is too long")
            if at < 0:
                return None
            event = self._event(at + len(_BLANK_LINE))
            if isinstance(event, h11.Response):
                return _head_of(event, bodiless=self._is_bodiless)
            searched = self._parsed

    def rest(self) -> memoryview:
        """Return the bytes received after the head. Nothing overwrites them."""
        return memoryview(self._buffer)[self._parsed : self.received]

    def _event(self, end: int) -> h11.Response | h11.InformationalResponse:
        self.codec.receive_data(bytes(memoryview(self._buffer)[self._parsed : end]))
        self._parsed = end
        event = self.codec.next_event()
        if not isinstance(event, h11.Response | h11.InformationalResponse) or self.codec.trailing_data[0]:
            raise h11.RemoteProtocolError("the head of the answer is malformed")
        return event


def header_text(value: bytes) -> str:
    """Decode a header value. `header_bytes` restores the same bytes, whatever they are."""
    return value.decode("utf-8", "surrogateescape")


def header_bytes(text: str) -> bytes:
    """Encode a header value as it is sent."""
    return text.encode("utf-8", "surrogateescape")


def _head_of(response: h11.Response, *, bodiless: bool) -> ResponseHead:
    headers = {name.decode("ascii"): header_text(value) for name, value in response.headers}
    length: int | None = None
    if bodiless or response.status_code in _BODILESS:
        length = 0
    elif "transfer-encoding" not in headers and "content-length" in headers:
        length = int(headers["content-length"])
    closes = "close" in headers.get("connection", "").lower()
    keeps = response.http_version == b"1.1" and not closes
    return ResponseHead(response.status_code, headers, length, keeps)
