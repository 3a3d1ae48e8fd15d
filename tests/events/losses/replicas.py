"""Two replicas of a server, each behind a proxy to S3 that can fail, and clients that upload through them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh

from s3sftp.events.outbox.entries import id_in
from testbed.packets import Refused
from testbed.raw_client import Ended
from testbed.s3_store import Store
from tests.events.losses.receivers import Receiver, options_of
from tests.events.outbox.servers import ENTRIES, partner_of
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3, s3_client
from tests.support.server import Groups, Server

CLIENTS = 2
"""Of each replica, at the same time."""
REFUSED = ".refused"
"""The store refuses files whose names end like this."""


class Replica:
    """One server. It may be killed while its clients upload: they try again when it is back."""

    def __init__(self, server: Server, proxy: FaultProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.stored: set[str] = set()
        """Paths of files whose CLOSE was answered OK."""
        self.refused: set[str] = set()
        """Paths of those that the server said it could not store."""
        self.tries_again = 0
        """Uploads that were cut off, and made again."""
        self._serves = asyncio.Event()
        self._stored_more = asyncio.Condition()

    async def start(self) -> None:
        await self.server.astart()
        self._serves.set()

    async def kill(self) -> None:
        """SIGKILL; clients wait for `start`."""
        self._serves.clear()
        await asyncio.to_thread(self.server.kill)

    async def upload(self, paths: list[str]) -> None:
        """Upload small files by several clients at once, each until the server has answered."""
        left = iter(paths)
        await asyncio.gather(*(self._upload(left) for _ in range(CLIENTS)))

    async def until_stored(self, count: int, seconds: float = 120) -> None:
        """Wait until so many files have been stored here, from the beginning on."""
        async with asyncio.timeout(seconds), self._stored_more:
            await self._stored_more.wait_for(lambda: len(self.stored) >= count)

    async def _upload(self, paths: Iterator[str]) -> None:
        path = next(paths, None)
        while path is not None:
            await self._serves.wait()
            try:
                async with partner_of(self.server) as client:
                    while path is not None:
                        try:
                            await client.put(path.encode(), path.encode())
                        except Refused:
                            self.refused.add(path)
                        else:
                            await self._note(path)
                        path = next(paths, None)
            except (Ended, OSError, asyncssh.Error):
                if path is not None:
                    self.tries_again += 1

    async def _note(self, path: str) -> None:
        async with self._stored_more:
            self.stored.add(path)
            self._stored_more.notify_all()


class World:
    """Replicas, sinks and the bucket."""

    def __init__(self, replicas: list[Replica], receivers: list[Receiver], s3: S3) -> None:
        self.replicas = replicas
        self.receivers = receivers
        self.s3 = s3
        self.kills = 0
        self.may_come_again: Counter[str] = Counter()
        """By sink: events that it had accepted when a server was killed that had not forgotten them yet."""

    async def kill(self, replica: Replica) -> None:
        """Kill a replica, and note which events the next one cannot know to be delivered."""
        await replica.kill()
        self.kills += 1
        entries = {id_in(key) for key in await self.s3.keys(ENTRIES)}
        for each in self.receivers:
            await each.collect()
            self.may_come_again[each.name] += len(entries & {event["id"] for event in each.events})

    async def files(self) -> dict[str, str]:
        """The ETag of each file in the bucket, by the path of the user."""
        found = {}
        pages = self.s3.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.s3.bucket, Prefix="alice/"
        )
        async for page in pages:
            for item in page.get("Contents", []):
                found["/" + item["Key"].removeprefix("alice/")] = item["ETag"].strip('"')
        return found

    def most_duplicates(self, receiver: Receiver) -> int:
        """How many events may have come twice: those whose acceptance no server could know, or remember. A
        server that was taken for dead, as on a machine that stands still, may repeat whatever it had."""
        repeated = self.taken_for_dead * len(set[str]().union(*(each.stored for each in self.replicas)))
        return self.may_come_again[receiver.name] + receiver.door.unanswered + repeated

    @property
    def taken_for_dead(self) -> int:
        """How often a server noticed that another one had adopted its events although it lived."""
        return sum(each.server.count("events.lease_lost") for each in self.replicas)


@asynccontextmanager
async def world(
    directory: Path, store: Store, bucket: str, moto: Store, receivers: list[Receiver]
) -> AsyncIterator[World]:
    """Two replicas of one server, running."""
    options: Groups = {
        "events": {"takeover_time": "10 s", "first_pause": "0.2 s", "longest_pause": "0.5 s"},
        **options_of(receivers),
    }
    credentials = ["env", *(f"{name}={value}" for name, value in moto.environment().items())]
    async with AsyncExitStack() as stack:
        s3 = await stack.enter_async_context(s3_client(store, bucket))
        replicas = []
        for name in ("killed", "other"):
            proxy = await stack.enter_async_context(FaultProxy(store.endpoint_url))
            proxy.on("PutObject", do=Answer(403, "AccessDenied"), key=rf"^alice/.*\{REFUSED}$")
            server = Server(directory / name, store.behind(proxy.url), bucket, options, under=credentials)
            stack.push_async_callback(asyncio.to_thread, server.close)
            replicas.append(Replica(server, proxy))
        await asyncio.gather(*(each.start() for each in replicas))
        yield World(replicas, receivers, s3)
