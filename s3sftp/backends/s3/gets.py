"""GetObject on connections of our own: bodies come from the socket straight into the buffers of who reads.

    botocore: make, sign ─► before-send ─► Gets.send ─► a connection ─► botocore: interpret, or raise

botocore remains who signs, addresses and understands; it asks with its event `before-send` whether somebody
else will send a request. aiohttp sends all others, and these too where a proxy or a client certificate is
configured: docs/decisions/0013.
"""

from __future__ import annotations

import os
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import h11
from aiobotocore.awsrequest import AioAWSResponse
from botocore import exceptions as boto
from botocore.httpsession import ProxyConfiguration
from botocore.utils import get_environ_proxies

from s3sftp.backends.s3.connection import Connection, Unanswered
from s3sftp.backends.s3.http_head import Head
from s3sftp.backends.s3.incoming import Incoming
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.permits import Permit, Permits
from s3sftp.backends.s3.pool import Origin, Pool
from s3sftp.backends.s3.received import DirectBody, WholeText, read_all

_MOST_ERROR_BYTES: Final = 1 << 20
"""The longest text of an error."""


class Gets:
    """Sends GetObject for a botocore client. Made on the event loop that uses it."""

    def __init__(self, client: Any, options: S3Options, ca_bundle: str | None) -> None:
        # the rules of botocore.endpoint, which keeps what it finds to itself
        self._pool = Pool(ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or True)
        config = client.meta.config
        proxies = (
            config.proxies if config.proxies is not None else get_environ_proxies(client.meta.endpoint_url)
        )
        self._proxies = ProxyConfiguration(proxies)
        self._has_certificate = config.client_cert is not None
        self._connect_seconds = options.connect_timeout.total_seconds()
        self._stall_seconds = options.stall_timeout.total_seconds()
        self._permits = Permits(options.max_connections)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    async def permit(self) -> Permit:
        """A permit for a request that aiohttp sends; `async with` it."""
        return await self._permits.take()

    async def send(self, request: Any, **_: Any) -> AioAWSResponse | None:
        """Send a request of botocore's; None: it is not one for us.

        Raises what aiobotocore's own way raises when there is no answer.
        """
        if request.body or self._has_certificate or self._proxies.proxy_url_for(request.url):
            return None
        permit = await self._permits.take()
        try:
            head, incoming = await self._exchange(request, permit)
        except BaseException:
            permit.give_back()
            raise
        body = DirectBody(incoming, request.url)
        if head.status < 300:
            return AioAWSResponse(request.url, head.status, dict(head.headers), body)
        text = await read_all(body, _MOST_ERROR_BYTES, self._stall_seconds)
        return AioAWSResponse(request.url, head.status, dict(head.headers), WholeText(text))

    async def _exchange(self, request: Any, permit: Permit) -> tuple[Head, Incoming]:
        origin = Origin.of(request.url)
        asked = _as_http(request, origin)
        used = self._pool.idle(origin)
        if used is not None:
            try:
                return await used.ask(asked, permit.give_back)
            except Unanswered as error:
                if not error.silent:
                    raise _closed(request, error) from error
                # it was closed while nobody looked: that says nothing about the store
        connection = await self._connect(origin, request.url)
        try:
            return await connection.ask(asked, permit.give_back)
        except Unanswered as error:
            raise _closed(request, error) from error

    async def _connect(self, origin: Origin, url: str) -> Connection:
        try:
            return await self._pool.connect(origin, self._connect_seconds)
        except TimeoutError as error:
            raise boto.ConnectTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            raise boto.SSLError(endpoint_url=url, error=error) from error
        except OSError as error:
            raise boto.EndpointConnectionError(endpoint_url=url, error=error) from error


def _closed(request: Any, error: Unanswered) -> boto.ConnectionClosedError:
    return boto.ConnectionClosedError(endpoint_url=request.url, request=request, error=error)


def _as_http(request: Any, origin: Origin) -> h11.Request:
    """A request of botocore's as it goes over the wire."""
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": origin.authority}
    for name, value in request.headers.items():
        if name.lower() != "accept-encoding":
            headers[name.title()] = value.decode() if isinstance(value, bytes) else str(value)
    headers["Accept-Encoding"] = "identity"  # the bytes as they are stored
    return h11.Request(method=request.method, target=target, headers=list(headers.items()))
