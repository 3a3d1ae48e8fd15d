"""Provides the body of a GetObject reply to its reader: `take` what has arrived, or `wait` for more."""

from __future__ import annotations

from typing import Any, Protocol

import aiohttp
from botocore import exceptions as boto

from s3sftp.backends.contract import Buffer


class ResponseBody(Protocol):
    """A body that is arriving."""

    def take(self) -> Buffer | None:
        """Return what has arrived, which will not change. Empty: the body has ended. None: nothing yet, so
        call `wait`.

        Raises the error that broke the body, after everything that arrived before it has been taken.
        """

    async def wait(self, seconds: float) -> None:
        """Wait until `take` returns something new. Raises TimeoutError or an HTTP client's error: if nothing
        arrives within `seconds`."""

    def close(self) -> None:
        """Release the connection. It is closed if more of the body was to come."""


class ReceivedBody:
    """A body that arrives through aiohttp. It is closed when it is garbage-collected."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content: Any = response.content
        self._seconds = 0.0
        self._piece: bytes | None = None

    def take(self) -> Buffer | None:
        piece, self._piece = self._piece, None
        if piece is not None:
            return memoryview(piece)
        if self._content.at_eof():
            return memoryview(b"")
        if self._content._buffer:
            # One piece as it arrived: the public methods would copy all pieces into one.
            return memoryview(self._content._read_nowait_chunk(-1))
        if (failure := self._content.exception()) is not None:
            raise boto.ResponseStreamingError(error=failure) from failure
        return None

    async def wait(self, seconds: float) -> None:
        self._limit_silence(seconds)
        try:
            self._piece = await self._content.readany() or None
        except TimeoutError as error:
            raise boto.ReadTimeoutError(endpoint_url=str(self._response.url), error=error) from error
        except Exception as error:
            raise boto.ResponseStreamingError(error=error) from error

    def _limit_silence(self, seconds: float) -> None:
        """Set the time limit of the connection, which runs a timer for its own limit anyway."""
        connection = self._response.connection
        if seconds != self._seconds and connection is not None and connection.protocol is not None:
            self._seconds = connection.protocol.read_timeout = seconds
            connection.protocol.start_timeout()

    def close(self) -> None:
        if not self._response.closed:
            self._response.close()

    def __del__(self) -> None:
        self.close()

    @property
    def raw_stream(self) -> ReceivedBody:
        """What aiobotocore's wrapper asks for; the older wrapper passes the question to this object."""
        return self


class ErrorText:
    """Provides the text of an error to AioAWSResponse."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    async def read(self) -> bytes:
        return self._text


def response_body(answer: dict[str, Any]) -> ResponseBody:
    """Return the body of a GetObject reply, whether this package or botocore created the request."""
    body = answer["Body"]
    if isinstance(body, ReceivedBody):
        return body
    return ReceivedBody(getattr(body, "raw_stream", body))


async def read_all(body: ResponseBody, most_bytes: int, seconds: float) -> bytes:
    """Read a short body whole and close it. Raises an exception: if it is longer than `most_bytes`, stalls
    for `seconds`, or breaks."""
    pieces: list[Buffer] = []
    try:
        while (piece := body.take()) is None or piece:
            if piece is None:
                await body.wait(seconds)
                continue
            pieces.append(piece)
            most_bytes -= len(piece)
            if most_bytes < 0:
                raise boto.ResponseStreamingError(error="it is longer than it should be")
    finally:
        body.close()
    return b"".join(pieces)
