"""Sends every request to the store through aiohttp, as aiobotocore sets it up, and bounds the replies.

    FastClient ─ ask ──┐
                       ├─► aiohttp, with botocore's settings for proxies, certificates and connections
    botocore ─── send ─┘

A header that is not UTF-8 would make the whole reply fail, and a text would be read whatever its length. This
session keeps the bytes of headers (`header_text`) and limits texts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from botocore import exceptions as boto
from yarl import URL

from s3sftp.backends.s3.http.connection import LIMITS, ClosedWhenReused, guard
from s3sftp.backends.s3.http.request_body import Payload
from s3sftp.backends.s3.http.response_fields import header_text, parse_count_or_none
from s3sftp.runtime.cancellation import StrayCancellationGuard

MOST_TEXT_BYTES: Final = 16 << 20
"""Maximum bytes of a reply's text: more than a thousand keys of 1 024 bytes, all percent-encoded."""
_PIECE_BYTES: Final = 64 << 10
_COUNTS: Final = frozenset({b"x-amz-missing-meta", b"x-amz-mp-parts-count", b"x-amz-tagging-count"})
"""Headers on which nothing depends. botocore fails on one that is not a number, when it is too late to
release the body."""
_CONDITIONS: Final = ("if-match", "if-none-match")
"""Parts of the names of headers that make a request conditional."""
_NOT_ADDED: Final = ("Accept",)
"""Headers that aiohttp would add by itself. Requests are sent without them."""


def _closed() -> Any:
    return boto.HTTPClientError(error="the session is closed")


_closed_is_failed = StrayCancellationGuard(_closed)


@dataclass(frozen=True, slots=True)
class Route:
    """The proxy for the requests to a host, or none."""

    proxy: str | None
    headers: Mapping[str, str]


class SignedRequest(NamedTuple):
    """A signed request as it is sent, without its body."""

    method: str
    url: str
    """The URL is percent-encoded."""
    headers: dict[str, str]
    """Header values are decoded by `header_text`."""


class BoundedAiohttpSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore is not typed throughout
    """Replaces aiobotocore's session. When it closes, requests that wait for it fail with HTTPClientError."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._opening: dict[str | None, asyncio.Task[_Tolerant]] = {}
        """Sessions by proxy. A task opens each, because reading certificates may take longer than a request
        may wait."""
        self._is_closed = False
        self._prepared: ssl.SSLContext | None = None

    def prepare(self) -> None:
        """Read the certificates of authorities, for the processes that will be forked from this one. Blocks.

        Raises OSError: if they cannot be read.
        """
        # older versions of aiobotocore have no such method, and read them where they open a session
        if (build := getattr(super(), "_build_verify_context", None)) is not None:
            self._prepared = build()

    def _build_verify_context(self) -> ssl.SSLContext:
        # only once: aiobotocore changes what it gets, for the endpoint and for a proxy differently
        prepared, self._prepared = self._prepared, None
        return prepared or super()._build_verify_context()

    async def send(self, request: Any) -> Any:
        return await send_bounded(super().send, request, MOST_TEXT_BYTES)

    async def open(self, url: str) -> None:
        """Open the session for the host of a URL before the first request. Sends nothing.

        Raises BotoCoreError or OSError: if the certificates or the proxy cannot be used. Raises
        HTTPClientError: if the session is closed.
        """
        await self._get_session(self._proxy_config.proxy_url_for(url))

    async def __aexit__(self, *reason: object) -> None:
        self._is_closed = True
        for opening in self._opening.values():
            opening.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        self._opening.clear()
        await super().__aexit__(*reason)

    def route(self, url: str) -> Route:
        """Return the proxy for the host of a URL."""
        return Route(self._proxy_config.proxy_url_for(url), self._proxy_config.proxy_headers_for(url))

    async def ask(self, request: SignedRequest, body: memoryview, route: Route) -> aiohttp.ClientResponse:
        """Send a request as it is, and return the reply once its head has arrived. It follows no redirect.

        `body` must not change until then. Raises botocore's exceptions: if there is no reply.
        """
        headers = request.headers
        raw: dict[str, str] = {}
        if not all(map(str.isascii, headers.values())):
            raw = {name: value for name, value in headers.items() if not value.isascii()}
            headers = headers | {name: Payload.stand_in(name) for name in raw}
        try:
            session = await self._get_session(route.proxy)
            return await _exchange(
                session.session,
                request.method,
                URL(request.url, encoded=True),
                headers=headers,
                data=Payload(body, raw) if body or raw else None,
                skip_auto_headers=_NOT_ADDED,
                proxy=route.proxy,
                proxy_headers=route.headers if route.proxy else None,
            )
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise _as_botocore(error, request.url, route) from error

    async def _get_session(self, proxy_url: str | None) -> _Tolerant:
        if self._is_closed:
            raise _closed()
        opening = self._opening.get(proxy_url)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            opening = self._opening[proxy_url] = asyncio.create_task(self._opened(proxy_url))
        if opening.done():
            return opening.result()
        with _closed_is_failed:  # only closing cancels the task
            return await asyncio.shield(opening)

    async def _opened(self, proxy_url: str | None) -> _Tolerant:
        session = await super()._get_session(proxy_url)
        guard(session)
        return _Tolerant(session)


def _as_botocore(error: Exception, url: str, route: Route) -> Any:
    """Translate an error to the one that aiobotocore would raise for it."""
    match error:
        case aiohttp.ClientSSLError():
            return boto.SSLError(endpoint_url=url, error=error)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return boto.ProxyConnectionError(proxy_url=URL(route.proxy or "").host, error=error)
        case aiohttp.ConnectionTimeoutError():
            return boto.ConnectTimeoutError(endpoint_url=url, error=error)
        case TimeoutError():
            return boto.ReadTimeoutError(endpoint_url=url, error=error)
        case aiohttp.ClientConnectorError():
            return boto.EndpointConnectionError(endpoint_url=url, error=error)
        case aiohttp.ClientError() | OSError():
            return boto.ConnectionClosedError(endpoint_url=url, request=None, error=error)
    return boto.HTTPClientError(error=error)


async def _exchange(session: Any, method: str, url: URL, **named: Any) -> aiohttp.ClientResponse:
    """Send a request without following redirects, and return the reply once its head has arrived.

    A request whose connection the store had closed while it was idle is sent again. That costs no attempt.
    """
    while True:  # each try uses up one of the old connections, so the last one is on a new connection
        try:
            response: aiohttp.ClientResponse = await session.request(
                method, url, allow_redirects=False, **named, **LIMITS
            )
        except ClosedWhenReused:
            if not _may_be_repeated(method, named["headers"], named.get("data")):
                raise
        else:
            return response


def _may_be_repeated(method: str, headers: Mapping[str, str], data: object) -> bool:
    """Whether a request has the same reply again if the store has executed it already.

    A condition may fail because the first request has changed the object. A file has been read.
    """
    if method in ("GET", "HEAD"):
        return True
    if method not in ("PUT", "DELETE") or not isinstance(data, Payload | None):
        return False
    return not any(condition in name.lower() for name in headers for condition in _CONDITIONS)


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
                raise boto.ResponseStreamingError(error="it is longer than it should be")
    except BaseException:
        response.close()
        raise
    response.release()
    return bytes(text)


class _Tolerant:
    """An aiohttp session with the one method that aiobotocore calls."""

    def __init__(self, session: Any) -> None:
        self.session = session

    async def request(self, method: str, url: URL, **named: Any) -> _Answer:
        """Send a request without following redirects. botocore follows them itself, and aiohttp would pass a
        session token on to the other host."""
        return _Answer(await _exchange(self.session, method, url, **named))


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
