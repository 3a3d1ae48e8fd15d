"""One exchange on an HTTP/1.1 connection, as far as it is text: the request, the head of its answer.

h11 writes and reads them, and says what is wrong; how the body is delimited is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h11

HEAD_LIMIT = 64 << 10
"""Bytes before the body, interim answers included."""
_FIRST_ROOM = 16 << 10
_BLANK_LINE = b"\r\n\r\n"
_BODILESS = frozenset({204, 304})
NO_BODY = memoryview(b"")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What an answer says before its body."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    length: int | None
    """Bytes of the body; None when it is chunked or ends with the connection."""
    keeps: bool
    """Whether the connection may serve another request after the body."""


class ResponseHeadReader:
    """Receives the head of one answer; what comes with it of the body is kept."""

    def __init__(self, request: h11.Request, body: memoryview = NO_BODY) -> None:
        self.codec = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        """Goes on with the body when `length` is None."""
        self.request = self.codec.send(request) or b""
        """The bytes to send in front of the request's body; that one goes by h11, which only counts it."""
        if body:
            self.codec.send_with_data_passthrough(h11.Data(data=body))  # type: ignore[arg-type]
        self.codec.send(h11.EndOfMessage())
        self._is_bodiless = request.method == b"HEAD"
        self.received = 0
        self._buffer = bytearray(_FIRST_ROOM)
        self._parsed = 0

    def room(self) -> memoryview:
        """Where to receive. A buffer of its own: small, for most answers have small heads."""
        if self.received == len(self._buffer):
            self._buffer = bytearray(self._buffer) + bytes(len(self._buffer))
        return memoryview(self._buffer)[self.received :]

    def came(self, count: int) -> ResponseHead | None:
        """So many bytes were received; the head, once it is whole. Raises h11.RemoteProtocolError."""
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
        """What came behind the head. Nothing is written there again."""
        return memoryview(self._buffer)[self._parsed : self.received]

    def _event(self, end: int) -> h11.Response | h11.InformationalResponse:
        self.codec.receive_data(bytes(memoryview(self._buffer)[self._parsed : end]))
        self._parsed = end
        event = self.codec.next_event()
        if not isinstance(event, h11.Response | h11.InformationalResponse) or self.codec.trailing_data[0]:
            raise h11.RemoteProtocolError("the head of the answer is malformed")
        return event


def header_text(value: bytes) -> str:
    """A field's value as text. `header_bytes` makes the same bytes of it, whatever they are."""
    return value.decode("utf-8", "surrogateescape")


def header_bytes(text: str) -> bytes:
    """A field's value as it is sent."""
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
