"""A door in front of a sink: passes requests on, or fails as services and networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

import aiohttp
from aiohttp import web


class State(Enum):
    """What becomes of a request."""

    OPEN = "passed on"
    DOWN = "answered 503"
    HANGS = "not answered, and never passed on"
    LOSES_ANSWERS = "passed on, and its answer lost"


class Door:
    """`state` may be replaced at any time; requests that hang are answered 503 then."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.unanswered = 0
        """Events that have been passed on in requests whose answer the server has not got."""
        self.failed = 0
        """Requests that were not answered as the sink does."""
        self._upstream = upstream
        self._session = session
        self._state = State.OPEN
        self._changed = asyncio.Condition()

    @property
    def state(self) -> State:
        return self._state

    async def become(self, state: State) -> None:
        async with self._changed:
            self._state = state
            self._changed.notify_all()

    async def until_failed(self, requests: int, seconds: float = 60) -> None:
        """Wait until so many further requests have failed here."""
        goal = self.failed + requests
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.failed >= goal)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        state = self._state
        if state is not State.OPEN:
            async with self._changed:
                self.failed += 1
                self._changed.notify_all()
                if state is State.HANGS:
                    await self._changed.wait_for(lambda: self._state is not State.HANGS)
        if state in (State.DOWN, State.HANGS):
            return web.json_response({"__type": "ServiceUnavailable", "message": "down"}, status=503)
        headers = {
            name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")
        }
        async with self._session.post(self._upstream + request.path_qs, data=body, headers=headers) as reply:
            answer = web.Response(
                body=await reply.read(),
                status=reply.status,
                headers={"Content-Type": reply.headers.get("Content-Type", "text/plain")},
            )
        if state is State.LOSES_ANSWERS and request.transport is not None:
            request.transport.abort()
        if request.transport is None or request.transport.is_closing():
            self.unanswered += body.count(b"specversion")  # each event has it once, whatever encloses it
        return answer


@asynccontextmanager
async def door(upstream: str) -> AsyncIterator[Door]:
    """A door on a free port of 127.0.0.1; `upstream` is a URL without a path."""
    async with aiohttp.ClientSession() as session:
        made = Door(upstream, session)
        runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield made
        finally:
            await made.become(State.DOWN)
            await runner.cleanup()
