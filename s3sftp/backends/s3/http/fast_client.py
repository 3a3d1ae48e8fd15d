"""Creates, signs and sends the frequent requests, in less time than botocore takes.

botocore is asked only for what it alone knows.

    once    botocore creates, addresses and signs a request, unsent ─► the bucket's address and who signs how
    each    parameters ─► HttpRequest ─► signature ─► aiohttp ─► fields of the reply, or ClientError

botocore creates everything else, and the same session of aiohttp sends it: other requests, parameters that
cannot be serialized here, and buckets with another kind of signature. See docs/decisions/0014.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from aiobotocore.awsrequest import AioAWSResponse
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError, ResponseParserFactory

from s3sftp import __version__
from s3sftp.backends.s3.http.aiohttp_session import (
    MOST_TEXT_BYTES,
    BoundedAiohttpSession,
    Route,
    SignedRequest,
)
from s3sftp.backends.s3.http.response_body import ErrorText, ReceivedBody, read_all
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
_unsent: ContextVar[list[Any] | None] = ContextVar("unsent", default=None)
"""Where the current task keeps the requests that botocore makes for it without sending them."""


@dataclass(frozen=True, slots=True)
class _Site:
    """The bucket's address, as botocore determines it."""

    origin: str
    path: str
    """The path before a key, in a URL of that origin."""
    authority: str
    """The Host header, as it is signed."""
    signer: Signer
    route: Route

    @classmethod
    def of(cls, url: str, signer: Signer, route: Route) -> _Site:
        """Create a site. `url` is the URL before a key."""
        parts = urlsplit(url)
        default = 443 if parts.scheme == "https" else 80
        host = parts.hostname or ""
        authority = f"[{host}]" if ":" in host else host
        if parts.port not in (None, default):
            authority += f":{parts.port}"
        return cls(url[: len(url) - len(parts.path)], parts.path, authority, signer, route)

    @property
    def url(self) -> str:
        return self.origin + self.path


class _Head(NamedTuple):
    """The status and headers of a reply."""

    status: int
    headers: Mapping[str, str]
    """Header names are in lower case."""


class FastClient:
    """Creates the frequent requests of a botocore client and sends them through the client's HTTP session.

    Belongs to no event loop before its first request.
    """

    def __init__(self, client: Any, credentials: Any, options: S3Options) -> None:
        self._client = client
        self._http: BoundedAiohttpSession = client._endpoint.http_session
        self._credentials = credentials
        self._bucket = options.bucket
        self._signs_bodies: bool | None = (client.meta.config.s3 or {}).get("payload_signing_enabled")
        model = client.meta.service_model
        self._operations = {api: OperationSerializer(model.operation_model(api)) for api in OPERATIONS}
        parsers = ResponseParserFactory()
        parsers.set_parser_defaults(timestamp_parser=parse_date_or_none)
        self._parser = parsers.create_parser("rest-xml")
        self._stall_seconds = options.stall_timeout.total_seconds()
        self._locating = asyncio.Lock()
        self._site: _Site | None = None
        self._is_off = False

    async def send(self, api: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """Send a request; return the reply with botocore's field names. None: botocore must create it.

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
        head, body = await self._exchange(site, form)
        if head.status < 300:
            return await self._answer(api, operation, head, body)
        text = await self._text(body)
        error = self._error(api, operation, head.status, head, text)
        if not _leads_elsewhere(api, error, head.status):
            raise error
        site = await self._follow(site, head, text)
        if site is None:
            raise error
        head, body = await self._exchange(site, form)
        if head.status < 300:
            return await self._answer(api, operation, head, body)
        raise self._error(api, operation, head.status, head, await self._text(body))

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
                self._site = self._read((await self._made())[0])
                self._is_off = self._site is None
        return self._site

    async def _follow(self, site: _Site, head: _Head, text: bytes) -> _Site | None:
        """Have botocore find the bucket's other address from a reply, and return it. None: there is none."""
        async with self._locating:
            if self._site == site:
                made = await self._made(AioAWSResponse(site.url, head.status, head.headers, ErrorText(text)))
                self._site = self._read(made[-1]) or site
            return self._site if self._site != site else None

    async def _made(self, answer: AioAWSResponse | None = None) -> list[Any]:
        """Return the requests that botocore would send, if `answer` is the reply to the first one."""
        made: list[Any] = []

        def keep(request: Any, **_: Any) -> AioAWSResponse | None:
            if _unsent.get() is not made:
                return None  # botocore sends another request meanwhile
            made.append(request)
            if answer is not None and len(made) == 1:
                return answer
            return AioAWSResponse(request.url, 200, {}, ErrorText(b""))

        event = "before-send.s3.HeadObject"
        self._client.meta.events.register(event, keep)
        token = _unsent.set(made)
        try:
            await self._client.head_object(Bucket=self._bucket, Key="k")
        except boto.ClientError:
            if answer is None:
                raise
        finally:
            _unsent.reset(token)
            self._client.meta.events.unregister(event, keep)
        return made

    def _read(self, request: Any) -> _Site | None:
        authorization = request.headers.get("Authorization", b"")
        if isinstance(authorization, bytes):
            authorization = authorization.decode()
        scope = _SCOPE.match(authorization)
        parts = urlsplit(request.url)
        if scope is None or parts.query or not parts.path.endswith("/k"):
            return None
        return _Site.of(request.url[:-1], Signer(scope[1], "s3"), self._http.route(request.url))

    # ── each ────────────────────────────────────────────────────────────────────────────────────────

    async def _exchange(self, site: _Site, form: HttpRequest) -> tuple[_Head, ReceivedBody]:
        request = await self._request(site, form)
        response = await self._http.ask(request, form.body, site.route)
        said = {name.lower(): value for name, value in response.headers.items()}
        return _Head(response.status, said), ReceivedBody(response)

    async def _request(self, site: _Site, form: HttpRequest) -> SignedRequest:
        headers = {**form.headers, "host": site.authority, "user-agent": _AGENT}
        if form.method == "PUT":
            headers["content-length"] = str(len(form.body))
        headers["accept-encoding"] = "identity"  # the bytes as they are stored
        credentials = await self._credentials.get_frozen_credentials()
        path = site.path + form.key if form.key else site.path.rstrip("/") or "/"
        payload = await self._payload(site, form)
        site.signer.sign(form.method, path, form.query, headers, payload, credentials, datetime.now(UTC))
        target = f"{path}?{form.query}" if form.query else path
        return SignedRequest(form.method, site.origin + target, headers)

    async def _payload(self, site: _Site, form: HttpRequest) -> str:
        """Return the body's hash for the signature, or UNSIGNED if it is not needed to prove the body."""
        if not form.body:
            return EMPTY
        proven = site.origin.startswith("https:") and "content-md5" in form.headers
        if self._signs_bodies is False or (self._signs_bodies is None and proven):
            return UNSIGNED
        if len(form.body) < _IN_THREAD_BYTES:
            return hashlib.sha256(form.body).hexdigest()
        return (await asyncio.to_thread(hashlib.sha256, form.body)).hexdigest()

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────

    async def _answer(
        self, api: str, operation: OperationSerializer, head: _Head, body: ReceivedBody
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

    async def _text(self, body: ReceivedBody) -> bytes:
        return await read_all(body, MOST_TEXT_BYTES, self._stall_seconds)

    def _error(
        self, api: str, operation: OperationSerializer, status: int, head: _Head, text: bytes
    ) -> boto.ClientError:
        return boto.ClientError(self._parsed(api, operation, status, head, text), api)

    def _parsed(self, api: str, operation: OperationSerializer, status: int, head: _Head, text: bytes) -> Any:
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
