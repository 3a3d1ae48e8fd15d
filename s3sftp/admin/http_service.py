"""Serves the admin port's pages and the API over HTTP, to peers that may be hostile.

aiohttp implements HTTP. `connection_limits.py` bounds what aiohttp does not.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

# not `aiohttp.web`: it would load routes, applications and static files into memory for nothing
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

from s3sftp.admin.api_access import ApiAccess
from s3sftp.admin.api_service import ApiCalls, ApiService
from s3sftp.admin.connection_limits import ConnectionLimits, LimitedProtocol
from s3sftp.admin.console_files import PATH, ConsoleFiles
from s3sftp.admin.health import HealthReason, HealthReport
from s3sftp.admin.options import AdminOptions
from s3sftp.admin.tls import tls_context
from s3sftp.errors import ConfigurationError
from s3sftp.ssh import CannotListen, ListenOptions, bind
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.admin")
_LINE_BYTES = 2048
"""Maximum bytes of the request line, and of a header."""
_BACKLOG = 32
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
        self._failed = LogThrottle()

    async def answer(self, request: BaseRequest) -> Response:
        """Answer any request. Never raises."""
        try:
            if self._api is not None and self._api.has(request.path):
                return _kept(request, await self._api.answer(request, lambda: _renew(request)))
            response = await self._response(request)
        except Exception:
            suppressed = self._failed.allow("request", monotonic())
            if suppressed is not None:
                _log.exception("admin.request_failed", path=request.path[:100], suppressed=suppressed or None)
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
    if response.keep_alive is not False:
        _renew(request)
    return _with_headers(response)


def _renew(request: BaseRequest) -> None:
    """Give the connection of a request by somebody who may call the bytes and the time of a new one."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    if isinstance(protocol, LimitedProtocol):
        protocol.renew()


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
