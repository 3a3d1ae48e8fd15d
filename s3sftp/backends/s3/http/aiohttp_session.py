"""Bounds and hardens the replies that botocore receives through aiohttp.

A header that is not UTF-8 would make the whole reply fail, and a text would be read whatever its length. This
session keeps the bytes of headers, as the fast client does (`header_text`), and limits texts.
"""

from __future__ import annotations

from typing import Any, Final

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ResponseStreamingError

from s3sftp.backends.s3.http.http1 import header_text
from s3sftp.backends.s3.http.response_fields import parse_count_or_none

MOST_TEXT_BYTES: Final = 16 << 20
"""Maximum bytes of a reply's text: more than a thousand keys of 1 024 bytes, all percent-encoded."""
_PIECE_BYTES: Final = 64 << 10
_COUNTS: Final = frozenset({b"x-amz-missing-meta", b"x-amz-mp-parts-count", b"x-amz-tagging-count"})
"""Headers on which nothing depends. botocore fails on one that is not a number, when it is too late to
release the body."""


class BoundedAiohttpSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore is not typed throughout
    """Replaces aiobotocore's session."""

    async def send(self, request: Any) -> Any:
        return await send_bounded(super().send, request, MOST_TEXT_BYTES)

    async def _get_session(self, proxy_url: str | None) -> _Tolerant:
        return _Tolerant(await super()._get_session(proxy_url))


async def send_bounded(send: Any, request: Any, most_bytes: int) -> Any:
    """Call `send` of an aiobotocore session and limit the text of the reply, if it is read at once, to
    `most_bytes`.

    Raises what `send` raises, ResponseStreamingError: if the text is too long, and aiohttp's errors.
    """
    if request.stream_output:
        return await send(request)
    request.stream_output = True
    try:
        answer = await send(request)
    finally:
        request.stream_output = False
    answer._content = await _read(answer.raw, most_bytes)  # where AWSResponse keeps the text
    return answer


async def _read(response: Any, most_bytes: int) -> bytes:
    text = bytearray()
    try:
        while piece := await response.content.read(_PIECE_BYTES):
            text += piece
            if len(text) > most_bytes:
                raise ResponseStreamingError(error="it is longer than it should be")
    except BaseException:
        response.close()
        raise
    response.release()
    return bytes(text)


class _Tolerant:
    """An aiohttp session with the one method that aiobotocore calls."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, *arguments: Any, **named: Any) -> _Answer:
        return _Answer(await self._session.request(*arguments, **named))


class _Answer:
    """A reply whose headers can always be decoded."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.raw_headers = [
            (_Header(name), _Header(value))
            for name, value in response.raw_headers
            if name.lower() not in _COUNTS or parse_count_or_none(header_text(value)) is not None
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)


class _Header(bytes):
    def decode(self, *_: Any, **__: Any) -> str:
        return header_text(bytes(self))
