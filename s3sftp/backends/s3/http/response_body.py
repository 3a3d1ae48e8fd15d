"""Provides the body of a GetObject reply to its reader: `take` what has arrived, or `wait` for more."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from botocore import exceptions as boto

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.http.incoming_body import IncomingBody

_PIECE_BYTES: Final = 256 << 10


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


class ConnectionBody:
    """A body on a connection of the fast client. It is closed when it is garbage-collected."""

    def __init__(self, incoming: IncomingBody, url: str) -> None:
        self._incoming = incoming
        self._url = url

    def take(self) -> memoryview | None:
        try:
            return self._incoming.take()
        except Exception as error:
            raise boto.ResponseStreamingError(error=error) from error

    async def wait(self, seconds: float) -> None:
        try:
            await self._incoming.wait(seconds)
        except TimeoutError as error:
            raise boto.ReadTimeoutError(endpoint_url=self._url, error=error) from error

    def close(self) -> None:
        self._incoming.abandon()

    def __del__(self) -> None:
        self.close()

    @property
    def raw_stream(self) -> ConnectionBody:
        """What aiobotocore's wrapper asks for; the older wrapper passes the question to this object."""
        return self


class AiohttpBody:
    """A body that arrives through aiohttp."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._piece: bytes | None = None

    def take(self) -> bytes | None:
        piece, self._piece = self._piece, None
        return piece

    async def wait(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            self._piece = await self._body.read(_PIECE_BYTES)

    def close(self) -> None:
        self._body.close()


class ErrorText:
    """Provides the text of an error to AioAWSResponse."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    async def read(self) -> bytes:
        return self._text


def response_body(answer: dict[str, Any]) -> ResponseBody:
    """Return the body of a GetObject reply, whichever client sent the request."""
    body = answer["Body"]
    raw = getattr(body, "raw_stream", None)
    return raw if isinstance(raw, ConnectionBody) else AiohttpBody(body)


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
