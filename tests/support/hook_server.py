"""An HTTP hook in this process, by aiohttp: answers as told, and notes what it was asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from testbed.processes import free_port

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """Those of a POST."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Hook:
    """`answer` may be replaced at any time."""

    answer: Answer
    port: int
    asked: list[Asked] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/login"

    @property
    def users(self) -> list[str]:
        """The names that it was asked for by POST."""
        return [each.fields["username"] for each in self.asked]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.method, request.raw_path, request.headers.copy(), body))
        return await self.answer(request)


def says(content: object, status: int = 200) -> Answer:
    """Always the same: JSON, or bytes as they are."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=data, status=status, content_type="application/json")

    return answer


def decides(decide: Callable[[dict[str, Any]], object]) -> Answer:
    """What a function of the fields of a POST says."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(decide(await request.json()))

    return answer


async def hangs(request: web.Request) -> web.StreamResponse:
    """No answer at all."""
    await asyncio.sleep(3600)
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    """A body without an end, as fast as it is read."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


async def trickles(request: web.Request) -> web.StreamResponse:
    """A valid answer, a byte at a time."""
    response = web.StreamResponse()
    await response.prepare(request)
    for byte in b'{"authenticated": true, "user": {}}':
        await response.write(bytes([byte]))
        await asyncio.sleep(0.5)
    return response


async def breaks_off(request: web.Request) -> web.StreamResponse:
    """Closes the connection before its answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


@asynccontextmanager
async def running_hook(
    answer: Answer, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Hook]:
    """A hook on a free port of 127.0.0.1."""
    hook = Hook(answer, port or free_port(), scheme="https" if tls else "http")
    runner = web.ServerRunner(web.Server(hook.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", hook.port, ssl_context=tls).start()
        yield hook
    finally:
        await runner.cleanup()
