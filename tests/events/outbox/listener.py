"""A service that events are posted to: it remembers them, and fails, refuses or holds them on command."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from aiohttp import web


class Listener:
    """A webhook's service, on this test's event loop."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        """Each event that was accepted, in the order of their arrival."""
        self.attempts = 0
        self.status = 200
        """What is answered: 503 for a service that is down, 400 for one that refuses for good."""
        self.open = asyncio.Event()
        """While it is not set, requests get no answer."""
        self.open.set()
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    async def __aenter__(self) -> Listener:
        app = web.Application()
        app.router.add_post("/events", self._post)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        async with self._arrived:
            self.attempts += 1
            self._arrived.notify_all()
        await self.open.wait()
        if self.status == 200:
            async with self._arrived:
                self.events += body if isinstance(body, list) else [body]
                self._arrived.notify_all()
        return web.Response(status=self.status)

    async def until(self, condition: Any, seconds: float = 60) -> None:
        """Wait until a condition of this service holds."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(condition)

    async def until_events(self, count: int, seconds: float = 60) -> None:
        """Wait until so many different events have been accepted."""
        await self.until(lambda: len(self.ids) >= count, seconds)

    @property
    def ids(self) -> set[str]:
        return {event["id"] for event in self.events}

    @property
    def stories(self) -> list[tuple[str, str]]:
        """Kind and subject of each event, once, in the order of the first arrivals."""
        first = {event["id"]: event for event in reversed(self.events)}
        return [
            (event["type"].removeprefix("s3sftp."), event["subject"])
            for event in sorted(first.values(), key=lambda event: self.events.index(event))
        ]

    @property
    def duplicates(self) -> int:
        return sum(count - 1 for count in Counter(event["id"] for event in self.events).values())
