"""A proxy in front of an S3 server that does, request by request, what networks and S3 do on bad days.

    async with FaultProxy(store.endpoint_url) as proxy:
        rule = proxy.on("UploadPart", do=Answer(503, "SlowDown"), skip=2, times=1)
        ... a client of proxy.url ...
        assert rule.hits == 1 and proxy.log.count("UploadPart") == 4

It runs on the event loop of the test, streams both ways and buffers nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from urllib.parse import urlsplit

from testbed.request_log import RequestLog, Seen, seen_from
from tests.support import http_relay
from tests.support.faults import FOREVER, Action, Rule
from tests.support.http_relay import Gone
from tests.support.proxied_exchange import Exchange


class FaultProxy:
    """Every request is in `log`; rules are added with `on`.

    Listens on a free port, or on the one that a server which outlives it was told.
    """

    def __init__(self, endpoint_url: str, port: int = 0) -> None:
        url = urlsplit(endpoint_url)
        self._upstream = (url.hostname or "127.0.0.1", url.port or 80)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._rules: list[Rule] = []
        self._port = port
        self.log = RequestLog()
        self.latency = 0.0
        """Seconds added before each request is passed on."""
        self.bytes_per_second: float | None = None
        """Limit of each body on its way, either direction; None: as fast as it goes."""
        self.anonymous = False
        """Whether answers are passed on without what the store calls itself."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> FaultProxy:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release_all()
        await self.down()

    async def up(self) -> None:
        """Listen (again, on the same port)."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, limit=4 * http_relay.PIECE, backlog=512
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Break every connection and refuse new ones: the endpoint is gone."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None

    def on(
        self,
        *apis: str,
        do: Action,
        key: str = "",
        method: str = "",
        query: str = "",
        header: str = "",
        skip: int = 0,
        times: int = FOREVER,
    ) -> Rule:
        """Add a rule: after `skip` requests that fit, apply `do` to the next `times`.

        `key`, `query` (of `name=value`) and `header` (of `name: value`, the name in lower case) are regular
        expressions that have to be found somewhere.
        """
        fits = (re.compile(key), method, re.compile(query), re.compile(header))
        rule = Rule(do, frozenset(apis), *fits, skip, times)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget rules and log; what was held goes on."""
        self.release_all()
        self._rules.clear()
        self.log.clear()

    def release_all(self) -> None:
        for rule in self._rules:
            rule.release()

    def running(self) -> list[Seen]:
        """Requests that have come and not ended."""
        return [seen for seen in self.log if seen.ended is None]

    def _rule_for(self, seen: Seen) -> Rule | None:
        return next((rule for rule in self._rules if rule.applies(seen)), None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            http_relay.reset(writer)
        finally:
            self._connections.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: http_relay.Upstream | None = None
        try:
            while True:
                head = await http_relay.read_head(reader)
                seen = seen_from(head)
                self.log.append(seen)
                rule = self._rule_for(seen)
                upstream = upstream or http_relay.Upstream(*self._upstream)
                exchange = Exchange(
                    seen,
                    head,
                    reader,
                    writer,
                    upstream,
                    self.latency,
                    self.bytes_per_second,
                    anonymous=self.anonymous,
                )
                try:
                    keep = await exchange.run(rule)
                finally:
                    seen.ended = time.monotonic()
                if not keep:
                    return
        except Gone:
            pass
        finally:
            if upstream is not None:
                await upstream.close()
            with contextlib.suppress(OSError):
                await http_relay.close(writer)
