"""Sends requests to the hook by aiohttp: bounded in time, size, connections and repetitions.

asked ─► attempt ─► 200 ─────────────────────────────► its body
                ├─► connection failed, 502, 503, 504 ─► SourceFailed that may be repeated
                └─► any other status, a redirect too ─► SourceFailed
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import aiohttp
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue
from yarl import URL

from s3sftp.auth.hook.credentials import HookCredentials
from s3sftp.auth.hook.options import MAX_CONNECTIONS, HookOptions
from s3sftp.auth.hook.requests import HookRequest, Question, make_request, signature_headers
from s3sftp.auth.sources.asking import SourceFailed, ask_repeatedly
from s3sftp.telemetry import current_trace_context, span

MAX_ANSWER_BYTES = 64 << 10
_UNAVAILABLE = (502, 503, 504)


class HookClient:
    """The connections to one hook. Make it on the event loop that uses it."""

    def __init__(
        self, options: HookOptions, credentials: HookCredentials, count: Callable[[str], None]
    ) -> None:
        """`count` is called with the result of every request."""
        self._options = options
        self._signing_key = credentials.signing_key
        self._limit = options.timeout.total_seconds()
        self._count = count
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=credentials.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "s3sftp"}
            | dict([credentials.header] if credentials.header else []),
            timeout=aiohttp.ClientTimeout(),  # `ask` limits the time
            auto_decompress=False,  # a small answer could become a huge one
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def ask(self, question: Question) -> bytes:
        """The content of the hook's answer, at most MAX_ANSWER_BYTES.

        Raises SourceFailed: if it gives none within `hook.timeout`.
        """
        request = make_request(question, self._options)
        return await ask_repeatedly(
            lambda: self._attempt(request),
            limit=self._limit,
            retries=self._options.retries,
            count=self._count,
        )

    async def _attempt(self, request: HookRequest) -> bytes:
        with span(request.method, lambda: _attributes(request), SpanKind.CLIENT) as current:
            return await self._send(self._signed(request), current)

    def _signed(self, request: HookRequest) -> HookRequest:
        """The request as it is sent: each repetition has a signature of its own time."""
        more = dict(current_trace_context())
        if self._signing_key is not None:
            more |= signature_headers(request, self._signing_key, int(time.time()))
        return replace(request, headers={**request.headers, **more})

    async def _send(self, request: HookRequest, current: Span) -> bytes:
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
            ) as response:
                current.set_attribute("http.response.status_code", response.status)
                _check_status(response)
                return await _bounded_body(response)
        except aiohttp.ClientSSLError as error:
            raise SourceFailed(f"TLS failed: {error}", "no_answer", is_down=True) from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            raise SourceFailed(
                f"its answer is not HTTP, or broken off: {error}", "no_answer", is_down=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise SourceFailed(problem, "no_answer", is_down=True, may_repeat=True) from None


def _attributes(request: HookRequest) -> dict[str, AttributeValue]:
    """Those of the request's span. The URL is none of them, because it may contain a secret."""
    url = URL(request.url, encoded=True)
    return {
        "http.request.method": request.method,
        "server.address": url.host or "",
        "server.port": url.port or 0,
    }


def _check_status(response: aiohttp.ClientResponse) -> None:
    """Raises SourceFailed: if the status is not 200."""
    status = response.status
    if status == 200:
        return
    if status in _UNAVAILABLE:
        raise SourceFailed(f"status {status}", "error_status", is_down=True, may_repeat=True)
    if 300 <= status < 400:
        problem = f"status {status}: redirects are not followed, so hook.url should be the final address"
    else:
        problem = f"status {status}: a hook refuses a login with status 200 and an empty object, {{}}"
    raise SourceFailed(problem, "error_status", is_down=False)


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    """Raises SourceFailed: if it is longer than MAX_ANSWER_BYTES; the rest is not read."""
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            response.close()
            raise SourceFailed(
                f"its answer is longer than {MAX_ANSWER_BYTES >> 10} KiB", "unusable", is_down=False
            )
    return bytes(data)
