"""Sends the frequent requests on connections of our own, faster than botocore.

Bodies go directly between the socket and the memory that is read or written, and botocore is asked only for
what it alone knows.

    once    botocore creates, addresses and signs a request, unsent ─► the bucket's address and who signs how
    each    parameters ─► HttpRequest ─► signature ─► a connection ─► fields of the reply, or ClientError

botocore and aiohttp send everything else: other requests, parameters that cannot be serialized here, and all
requests with a proxy, a client certificate or another kind of signature. A redirecting reply is left to them
too: docs/decisions/0014.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import h11
from aiobotocore.awsrequest import AioAWSResponse
from botocore import exceptions as boto
from botocore.httpsession import ProxyConfiguration
from botocore.parsers import ResponseParserError, ResponseParserFactory
from botocore.utils import get_environ_proxies

from s3sftp import __version__
from s3sftp.backends.s3.http.aiohttp_session import MOST_TEXT_BYTES
from s3sftp.backends.s3.http.connection import HttpConnection, NoResponse
from s3sftp.backends.s3.http.connection_limiter import ConnectionLimiter, ConnectionPermit
from s3sftp.backends.s3.http.connection_pool import ConnectionPool, Origin
from s3sftp.backends.s3.http.http1 import ResponseHead, header_bytes
from s3sftp.backends.s3.http.incoming_body import IncomingBody
from s3sftp.backends.s3.http.response_body import ConnectionBody, ErrorText, read_all
from s3sftp.backends.s3.http.response_fields import parse_date_or_none
from s3sftp.backends.s3.http.response_xml import parse_copy_result, parse_list_page
from s3sftp.backends.s3.http.serializer import HttpRequest, OperationSerializer
from s3sftp.backends.s3.http.signing import EMPTY, UNSIGNED, Signer
from s3sftp.backends.s3.options import S3Options

OPERATIONS: Final = frozenset(
    (
        *("HeadObject", "GetObject", "PutObject", "UploadPart", "DeleteObject", "CopyObject"),
        *("ListObjectsV2", "ListObjects"),
    )
)
_IN_THREAD_BYTES: Final = 1 << 20
_ELSEWHERE: Final = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
_SCOPE: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/s3/aws4_request,")
_AGENT: Final = f"s3sftp/{__version__}"


@dataclass(frozen=True, slots=True)
class _Site:
    """The bucket's address, as botocore determines it."""

    url: str
    """The URL before a key."""
    origin: Origin
    path: str
    """The path of that URL."""
    signer: Signer


class FastClient:
    """Sends the frequent requests of a botocore client. Belongs to no event loop before its first request."""

    def __init__(self, client: Any, credentials: Any, options: S3Options, ca_bundle: str | None) -> None:
        self._client = client
        self._credentials = credentials
        self._bucket = options.bucket
        # the rules of botocore.endpoint, which does not expose their result
        self._pool = ConnectionPool(ca_bundle or True)
        config = client.meta.config
        proxies = (
            config.proxies if config.proxies is not None else get_environ_proxies(client.meta.endpoint_url)
        )
        self._proxies = ProxyConfiguration(proxies)
        self._has_certificate = config.client_cert is not None
        self._signs_bodies: bool | None = (config.s3 or {}).get("payload_signing_enabled")
        model = client.meta.service_model
        self._operations = {api: OperationSerializer(model.operation_model(api)) for api in OPERATIONS}
        parsers = ResponseParserFactory()
        parsers.set_parser_defaults(timestamp_parser=parse_date_or_none)
        self._parser = parsers.create_parser("rest-xml")
        self._connect_seconds = options.connect_timeout.total_seconds()
        self._stall_seconds = options.stall_timeout.total_seconds()
        self._permits = ConnectionLimiter(options.max_connections)
        self._locating = asyncio.Lock()
        self._site: _Site | None = None
        self._is_off = False

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    async def permit(self) -> ConnectionPermit:
        """Return a permit for a request that aiohttp sends; use it with `async with`."""
        return await self._permits.take()

    async def send(self, api: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request; return the reply with botocore's field names. None: botocore must send it.

        Raises botocore's exceptions: if there is no reply, or an error.
        """
        operation = self._operations.get(api)
        if operation is None or self._is_off:
            return None
        if api in ("ListObjectsV2", "ListObjects"):
            parameters = {**parameters, "EncodingType": "url"}  # as botocore does
        form = operation.form(parameters)
        site = self._site or await self._locate()
        if form is None or site is None:
            return None
        request = await self._request(site, form)
        permit = await self._permits.take()
        try:
            head, incoming = await self._exchange(site, request, form.body, permit)
        except BaseException:
            permit.give_back()
            raise
        body = ConnectionBody(incoming, site.url)
        if head.status >= 300:
            error = self._error(api, operation, head.status, head, await self._text(body))
            if not _leads_elsewhere(api, error, head.status):
                raise error
            self._site = None  # botocore follows the redirect, and may use another address afterwards
            return None
        return await self._answer(api, operation, head, body)

    async def prepare(self) -> None:
        """Find out the bucket's address before the first request. Sends nothing."""
        await self._locate()

    # ── once ────────────────────────────────────────────────────────────────────────────────────────

    async def _locate(self) -> _Site | None:
        """Have botocore create a request and read the address from it.

        None, for good, if it cannot be sent from here.
        """
        await self._credentials.get_frozen_credentials()  # all requests wait together for a source that hangs
        async with self._locating:
            if self._site is None and not self._is_off:
                self._site = self._read(await self._made())
                self._is_off = self._site is None
        return self._site

    async def _made(self) -> Any:
        """Return a request as botocore would send it."""
        made: list[Any] = []

        def keep(request: Any, **_: Any) -> AioAWSResponse:
            made.append(request)
            return AioAWSResponse(request.url, 200, {}, ErrorText(b""))

        event = "before-send.s3.HeadObject"
        self._client.meta.events.register(event, keep)
        try:
            await self._client.head_object(Bucket=self._bucket, Key="k")
        finally:
            self._client.meta.events.unregister(event, keep)
        return made[0]

    def _read(self, request: Any) -> _Site | None:
        authorization = request.headers.get("Authorization", b"")
        if isinstance(authorization, bytes):
            authorization = authorization.decode()
        scope = _SCOPE.match(authorization)
        parts = urlsplit(request.url)
        if scope is None or parts.query or not parts.path.endswith("/k"):
            return None
        if self._has_certificate or self._proxies.proxy_url_for(request.url):
            return None
        signer = Signer(scope[1], "s3")
        return _Site(request.url[:-1], Origin.of(request.url), parts.path[:-1], signer)

    # ── each ────────────────────────────────────────────────────────────────────────────────────────

    async def _request(self, site: _Site, form: HttpRequest) -> h11.Request:
        headers = {**form.headers, "host": site.origin.authority, "user-agent": _AGENT}
        if form.method == "PUT":
            headers["content-length"] = str(len(form.body))
        headers["accept-encoding"] = "identity"  # the bytes as they are stored
        credentials = await self._credentials.get_frozen_credentials()
        path = site.path + form.key if form.key else site.path.rstrip("/") or "/"
        payload = await self._payload(site, form)
        site.signer.sign(form.method, path, form.query, headers, payload, credentials, datetime.now(UTC))
        target = f"{path}?{form.query}" if form.query else path
        fields = [(name.encode(), header_bytes(value)) for name, value in headers.items()]
        return h11.Request(method=form.method, target=target, headers=fields)

    async def _payload(self, site: _Site, form: HttpRequest) -> str:
        """Return the body's hash for the signature, or UNSIGNED if it is not needed to prove the body."""
        if not form.body:
            return EMPTY
        proven = site.origin.scheme == "https" and "content-md5" in form.headers
        if self._signs_bodies is False or (self._signs_bodies is None and proven):
            return UNSIGNED
        if len(form.body) < _IN_THREAD_BYTES:
            return hashlib.sha256(form.body).hexdigest()
        return (await asyncio.to_thread(hashlib.sha256, form.body)).hexdigest()

    async def _exchange(
        self, site: _Site, request: h11.Request, body: memoryview, permit: ConnectionPermit
    ) -> tuple[ResponseHead, IncomingBody]:
        used = self._pool.idle(site.origin)
        if used is not None:
            try:
                return await used.ask(request, body, permit.give_back)
            except NoResponse as error:
                if not error.silent:
                    raise _closed(site, error) from error
                # The store had closed it while it was idle, which is no failure.
        connection = await self._connect(site)
        try:
            return await connection.ask(request, body, permit.give_back)
        except NoResponse as error:
            raise _closed(site, error) from error

    async def _connect(self, site: _Site) -> HttpConnection:
        try:
            return await self._pool.connect(site.origin, self._connect_seconds)
        except TimeoutError as error:
            raise boto.ConnectTimeoutError(endpoint_url=site.url, error=error) from error
        except ssl.SSLError as error:
            raise boto.SSLError(endpoint_url=site.url, error=error) from error
        except OSError as error:
            raise boto.EndpointConnectionError(endpoint_url=site.url, error=error) from error

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────

    async def _answer(
        self, api: str, operation: OperationSerializer, head: ResponseHead, body: ConnectionBody
    ) -> dict[str, Any]:
        try:
            fields = operation.fields(head.status, head.headers)
            if api == "GetObject":
                return fields | {"Body": body}
            text = await self._text(body)
            if not operation.has_text:
                return fields
            # S3 may begin a long copy with status 200 and end it with an error.
            if _is_error(text):
                raise self._error(api, operation, 500, head, text)
            if (read := _READERS.get(api)) is not None:
                return fields | read(text)
        except ValueError as error:
            body.close()
            raise ResponseParserError(f"{api}: {error}") from error
        return dict(self._parsed(api, operation, head.status, head, text))

    async def _text(self, body: ConnectionBody) -> bytes:
        return await read_all(body, MOST_TEXT_BYTES, self._stall_seconds)

    def _error(
        self, api: str, operation: OperationSerializer, status: int, head: ResponseHead, text: bytes
    ) -> boto.ClientError:
        return boto.ClientError(self._parsed(api, operation, status, head, text), api)

    def _parsed(
        self, api: str, operation: OperationSerializer, status: int, head: ResponseHead, text: bytes
    ) -> Any:
        answer = {
            "headers": head.headers,
            "status_code": status,
            "body": text,
            "context": {"operation_name": api},
        }
        return self._parser.parse(answer, operation.shape)


_READERS = {"ListObjectsV2": parse_list_page, "ListObjects": parse_list_page, "CopyObject": parse_copy_result}
"""Parsers for replies that are not left to botocore's parser."""


def _leads_elsewhere(api: str, error: boto.ClientError, status: int) -> bool:
    """Whether the reply tells botocore that the bucket is in another region."""
    code = error.response.get("Error", {}).get("Code", "")
    return status in (301, 307) or code in _ELSEWHERE or (api == "HeadObject" and status == 400)


def _is_error(text: bytes) -> bool:
    """Whether the root element of an XML text is `Error`."""
    return re.match(rb"\s*(<\?xml[^>]*>)?\s*<Error[\s>]", text) is not None


def _closed(site: _Site, error: NoResponse) -> boto.ConnectionClosedError:
    return boto.ConnectionClosedError(endpoint_url=site.url, request=None, error=error)
