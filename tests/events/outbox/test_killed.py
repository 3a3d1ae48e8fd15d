"""Servers that are killed, stopped or cut off: what they had begun to tell is told, once it can be."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from testbed.packets import CREAT, TRUNC, W
from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.events.outbox.servers import (
    ENTRIES,
    LEASES,
    options_for,
    partner_of,
    serving,
    until_empty,
    until_there,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Hold
from tests.support.s3_client import S3
from tests.support.server import Server


async def test_an_event_survives_a_server_that_is_killed_between_the_commit_and_the_delivery(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with Listener() as listener:
        listener.open.clear()
        async with serving(tmp_path / "server", store, bucket, options_for(listener)) as (server, client):
            await client.put(b"/in.csv", b"1,2,3")
            await listener.until(lambda: listener.attempts)
            await asyncio.to_thread(server.kill)
            assert await s3.keys(ENTRIES)
            listener.open.set()
            listener.events.clear()
            await server.restart()
            await listener.until_events(1)
            await until_empty(s3, ".s3sftp/events/")
    assert listener.stories == [("upload.committed", "/in.csv")]
    assert listener.events[0]["data"]["certainty"] == "confirmed"
    assert listener.events[0]["data"]["size"] == 5


async def test_what_a_killed_server_had_begun_to_commit_is_announced_only_as_far_as_it_can_be_known(
    store: Store, bucket: str, s3: S3, tmp_path: Path, proxy: FaultProxy, proxied: Store
) -> None:
    """One new file of which nobody can tell, and one that is certainly the old one."""
    await s3.put("alice/old", b"old")
    written = (await s3.head("alice/old"))["LastModified"].timestamp()
    while time.time() < written + 2:  # the store reports whole seconds
        await asyncio.sleep(0.1)
    async with Listener() as listener:
        async with serving(tmp_path / "server", proxied, bucket, options_for(listener)) as (server, client):
            held = proxy.on("PutObject", do=Hold(), key=r"alice/(new|old)$")
            closing = [asyncio.create_task(client.put(path, b"content")) for path in (b"/new", b"/old")]
            async with asyncio.timeout(60):
                while held.hits < 2:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(server.kill)
            for task in closing:
                task.cancel()
            await asyncio.gather(*closing, return_exceptions=True)
            await until_there(s3, ENTRIES, 2)
            held.times = 0
            await server.restart()
            await listener.until_events(1)
            await until_empty(s3, ".s3sftp/events/")
    assert listener.stories == [("upload.committed", "/new")]
    assert listener.events[0]["data"]["certainty"] == "unknown"


async def test_a_graceful_stop_leaves_what_is_undelivered_and_the_next_start_delivers_it_at_once(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with Listener() as listener:
        listener.status = 503
        options = options_for(
            listener, sink={"kinds": ["upload.committed", "upload.aborted", "download.completed"]}
        )
        options = {**options, "server": {"drain_timeout": "1 s", "workers": 1}}
        async with serving(tmp_path / "server", store, bucket, options) as (server, client):
            await client.put(b"/in.csv", b"1,2,3")
            await client.get(b"/in.csv")
            handle = await client.open(b"/unfinished", W | CREAT | TRUNC)
            await client.write(handle, 0, b"half")
            await listener.until(lambda: listener.attempts)
            await asyncio.to_thread(server.terminate)
            await server.ended()
            assert not [key for key in await s3.keys(ENTRIES) if "/_changes/" in key]
            assert len(await s3.keys(ENTRIES)) == 3
            assert [(await s3.head(key))["ContentLength"] for key in await s3.keys(LEASES)] == [0]
            listener.status = 200
            await server.restart()
            await listener.until_events(3)
            await until_empty(s3, ".s3sftp/events/")
    assert sorted(listener.stories) == [
        ("download.completed", "/in.csv"),
        ("upload.aborted", "/unfinished"),
        ("upload.committed", "/in.csv"),
    ]


async def test_a_server_that_hung_notices_that_it_was_robbed_and_loses_nothing(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    """Stopped with an undelivered event; another process adopts it; both go on."""
    async with Listener() as listener:
        listener.status = 503
        options = options_for(listener)
        async with (
            serving(tmp_path / "hung", store, bucket, options) as (hung, client),
            serving(tmp_path / "other", store, bucket, options) as (other, _),
        ):
            await client.put(b"/before", b"1")
            await until_there(s3, ENTRIES)
            assert hung.process is not None
            hung.process.send(signal.SIGSTOP)
            await other.until(lambda: other.count("events.adopted") >= 1, "an adoption", timeout=60)
            hung.process.send(signal.SIGCONT)
            await hung.until(lambda: hung.count("events.lease_lost") >= 1, "that it notices", timeout=60)
            await client.put(b"/after", b"2")
            listener.status = 200
            await listener.until_events(2)
            await until_empty(s3)
    assert set(listener.stories) == {("upload.committed", "/before"), ("upload.committed", "/after")}


async def test_another_replica_delivers_what_a_killed_one_has_left(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with Listener() as listener:
        listener.status = 503
        options = options_for(listener)
        other = Server(tmp_path / "other", store, bucket, options)
        async with serving(tmp_path / "killed", store, bucket, options) as (killed, client):
            await client.put(b"/left", b"1")
            await client.rename(b"/left", b"/moved")
            await client.remove(b"/moved")
            await until_there(s3, ENTRIES, 3)
            await asyncio.to_thread(killed.kill)
        try:
            await other.astart()
            async with partner_of(other) as client:
                await client.put(b"/own", b"2")
            listener.status = 200
            await listener.until_events(4)
            await until_empty(s3)
        finally:
            await asyncio.to_thread(other.close)
    told = [story for story in listener.stories if story[1] != "/own"]
    assert told == [("upload.committed", "/left"), ("file.renamed", "/moved"), ("file.removed", "/moved")]
