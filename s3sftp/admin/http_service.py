"""Serves the admin port's pages and the API over HTTP, to peers that may be hostile.

aiohttp implements HTTP. `ConnectionLimits` bounds what aiohttp does not: the number of connections, and for
each connection one request, its bytes, and its time. Health checks must be answered while others hold
connections, or the orchestrator would restart the server. So a new connection is always accepted, and the
oldest is closed to make room for it. A connection may be used again after a call to the API by somebody who
may: each such call gets bytes and time of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

# not `aiohttp.web`: it would load routes, applications and static files into memory for nothing
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

from s3sftp.admin.api_access import ApiAccess
from s3sftp.admin.api_service import ApiCalls, ApiService
from s3sftp.admin.console_files import PATH, ConsoleFiles
from s3sftp.admin.health import HealthReason, HealthReport
from s3sftp.admin.options import AdminOptions
from s3sftp.admin.tls import tls_context
from s3sftp.errors import ConfigurationError
from s3sftp.ssh import CannotListen, ListenOptions, bind
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.admin")
_LINE_BYTES = 2048
"""Maximum bytes of the request line, and of a header."""
_BACKLOG = 32
MAX_CONNECTIONS = 32
MAX_SECONDS = 10.0
"""Maximum duration of a request and its answer, with the connection before it."""
_MAX_BYTES = 32 << 10
"""Maximum size of a request."""
Health = Callable[[], Awaitable[HealthReport]]
Render = Callable[[str], tuple[bytes, str]]
"""Renders the metrics for a request's Accept header: content and content type."""


@asynccontextmanager
async def admin_port(
    options: AdminOptions,
    alive: Health,
    ready: Health,
    render: Render | None = None,
    calls: ApiCalls | None = None,
) -> AsyncIterator[int]:
    """Serve while the context is open. Yields the port. `calls`: what does the calls of the API, which is
    served if the options say who may call.

    Raises CannotListen: if the address cannot be used.
    Raises ConfigurationError: if the certificate cannot be.
    """
    listen = ListenOptions(host=options.host, port=options.port or 0)
    api = ApiService(calls, ApiAccess(options)) if calls is not None and options.has_api else None
    console = ConsoleFiles("off" if api is None else "none" if options.client_ca_file else "token")
    server, limits = Server(Pages(alive, ready, render, api, console).answer), ConnectionLimits()
    loop = asyncio.get_running_loop()
    try:
        tls = await asyncio.to_thread(tls_context, options)
    except ValueError as problem:
        raise ConfigurationError([str(problem)]) from None

    def connection() -> LimitedProtocol:
        return LimitedProtocol(_Requests(server, loop=loop, **_BOUNDS), limits, tls)

    async with AsyncExitStack() as open_:
        open_.push_async_callback(server.shutdown, timeout=1)
        open_.callback(limits.close)
        sockets = bind(listen)
        for each in sockets:
            open_.callback(each.close)
        try:
            for each in sockets:
                accepting = await loop.create_server(connection, sock=each, backlog=_BACKLOG)
                open_.callback(accepting.close)
        except OSError as error:
            raise CannotListen.because(listen, error) from error
        port = int(sockets[0].getsockname()[1])
        _log.info("admin.listening", host=options.host or "*", port=port)
        if api is not None and tls is None and not _is_loopback(sockets):
            _log.warning(
                "admin.api_in_clear",
                host=options.host or "*",
                port=port,
                detail="whoever can listen on the network reads the tokens: set admin.cert_file and"
                " admin.key_file, unless something else encrypts what comes here",
            )
        yield port


def _is_loopback(sockets: Sequence[socket.socket]) -> bool:
    return all(ipaddress.ip_address(each.getsockname()[0].partition("%")[0]).is_loopback for each in sockets)


class _Requests(RequestHandler):
    """aiohttp's protocol for a connection. Malformed requests are rejected without a traceback in the log."""

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        return _finished(_sentence(status, "this is no HTTP request that is understood here"))


_BOUNDS: dict[str, Any] = {
    "access_log": None,
    # it would log what peers do
    "logger": logging.Logger("s3sftp.admin.http", logging.CRITICAL + 1),
    "max_line_size": _LINE_BYTES,
    "max_field_size": _LINE_BYTES,
    "lingering_time": 0,
    "auto_decompress": False,
}


class Pages:
    """The pages by path."""

    def __init__(
        self,
        alive: Health,
        ready: Health,
        render: Render | None,
        api: ApiService | None,
        console: ConsoleFiles,
    ) -> None:
        self._health = {"/livez": (alive, "failed"), "/readyz": (ready, "not ready")}
        self._render = render
        self._api = api
        self._console = console

    async def answer(self, request: BaseRequest) -> Response:
        """Answer any request. Never raises."""
        try:
            if self._api is not None and self._api.has(request.path):
                return _kept(request, await self._api.answer(request))
            response = await self._response(request)
        except Exception:
            _log.exception("admin.request_failed", path=request.path[:100])
            response = _sentence(500, "the server could not answer this; its log says why")
        return _finished(response)

    async def _response(self, request: BaseRequest) -> Response:
        path = request.path
        is_console = self._console.has(path)
        if path not in self._health and path != "/metrics" and not is_console:
            return _sentence(404, f"there is nothing here; there are /livez, /readyz, /metrics and {PATH}")
        if request.method not in ("GET", "HEAD"):
            response = _sentence(405, "this can be read with GET and HEAD alone")
            response.headers["Allow"] = "GET, HEAD"
            return response
        if is_console:
            return self._console.answer(request)
        if path == "/metrics":
            return self._metrics(request)
        health, bad = self._health[path]
        return _of(await health(), bad)

    def _metrics(self, request: BaseRequest) -> Response:
        if self._render is None:
            return _sentence(404, "this server has no metrics")
        body, content_type = self._render(request.headers.get("Accept", ""))
        return Response(body=body, headers={"Content-Type": content_type})


def _finished(response: Response) -> Response:
    """Add the headers that all answers have, and close the connection after this one."""
    _with_headers(response).force_close()
    return response


def _kept(request: BaseRequest, response: Response) -> Response:
    """Let the connection have another request after this answer, unless it is to be closed."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    if isinstance(protocol, LimitedProtocol) and response.keep_alive is not False:
        protocol.renew()
    return _with_headers(response)


def _with_headers(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "s3sftp"
    return response


def _of(answer: HealthReport, bad: str) -> Response:
    said = {
        "status": "ok" if answer.is_good else bad,
        "reasons": [_plain(reason) for reason in answer.reasons],
        "warnings": [_plain(warning) for warning in answer.warnings],
    }
    return Response(
        status=200 if answer.is_good else 503,
        text=json.dumps(said, ensure_ascii=False, indent=2) + "\n",
        content_type="application/json",
    )


def _plain(reason: HealthReason) -> dict[str, str]:
    return {"name": reason.name, "detail": reason.detail}


def _sentence(status: int, text: str) -> Response:
    return Response(status=status, text=f"{text}\n")


class ConnectionLimits:
    """The open connections, the oldest first."""

    def __init__(self) -> None:
        self._connections: dict[LimitedProtocol, None] = {}

    def add(self, connection: LimitedProtocol) -> None:
        self._connections.pop(connection, None)
        self._connections[connection] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).abort()

    def remove(self, connection: LimitedProtocol) -> None:
        self._connections.pop(connection, None)

    def close(self) -> None:
        """Close all connections that have no answer yet."""
        for connection in list(self._connections):
            connection.abort()


class LimitedProtocol(asyncio.Protocol):
    """A protocol that is aborted when it exceeds a limit."""

    def __init__(
        self, inner: asyncio.Protocol, limits: ConnectionLimits, tls: ssl.SSLContext | None = None
    ) -> None:
        """With `tls`, the handshake comes first, and is within the same limits."""
        self._tls = tls
        self._handshake: asyncio.Task[None] | None = None
        self._inner_began = False
        self._inner = inner
        self._limits = limits
        self._received = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close the connection at once, even in the middle of an answer."""
        self._limits.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._transport is not None:
            self._transport.abort()

    def renew(self) -> None:
        """Start to count bytes and time anew."""
        self._received = 0
        self._limits.add(self)
        self._begin_to_count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._begin_to_count()
        self._limits.add(self)
        if self._tls is not None:
            self._handshake = asyncio.create_task(self._shake_hands(self._transport, self._tls))
            return
        self._begin_inner(transport)

    async def _shake_hands(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        transport.pause_reading()  # the handshake resumes it
        try:
            secure = await asyncio.get_running_loop().start_tls(transport, self, tls, server_side=True)
        except (OSError, ValueError):  # it speaks no TLS, has no certificate that fits, or is gone
            self.abort()
            return
        if secure is not None:
            self._begin_inner(secure)

    def _begin_inner(self, transport: asyncio.BaseTransport) -> None:
        self._inner_began = True
        self._inner.connection_made(transport)

    def _begin_to_count(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(MAX_SECONDS, self.abort)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MAX_BYTES:
            self.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._inner.eof_received()
        if self._tls is not None:
            return False  # TLS has no half-open connections
        return self._received > 0  # a client may close its side after a request and get the answer

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._limits.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inner_began:
            self._inner.connection_lost(error)
