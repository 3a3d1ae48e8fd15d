"""The body of an answer to GetObject, as its reader sees it: `take` what is there, `wait` when nothing is."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from botocore import exceptions as boto

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.http.incoming_body import IncomingBody

_PIECE_BYTES: Final = 256 << 10


class ResponseBody(Protocol):
    """Bytes on their way."""

    def take(self) -> Buffer | None:
        """What has come, and will not be changed; empty: that was all; None: nothing yet, so `wait`.

        Raises what broke the body, once all that came before is taken.
        """

    async def wait(self, seconds: float) -> None:
        """Wait until `take` knows more. Raises when so much time brings nothing."""

    def close(self) -> None:
        """Let go of the connection, whose use is over if something was still to come."""


class ConnectionBody:
    """A body on a connection of our own. Closed when it is forgotten."""

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
        """What aiobotocore's wrapper is asked for; the older one passes the question on to us."""
        return self


class AiohttpBody:
    """A body that comes through aiohttp."""

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
    """What AioAWSResponse reads the text of an error from."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    async def read(self) -> bytes:
        return self._text


def response_body(answer: dict[str, Any]) -> ResponseBody:
    """The body of an answer to GetObject, whoever sent the request."""
    body = answer["Body"]
    raw = getattr(body, "raw_stream", None)
    return raw if isinstance(raw, ConnectionBody) else AiohttpBody(body)


async def read_all(body: ResponseBody, most_bytes: int, seconds: float) -> bytes:
    """All of a short body, which is closed then. Raises when it is longer, stalls or breaks."""
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
