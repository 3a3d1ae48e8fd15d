"""Events of real clients' transfers, what they cost, and what becomes of them when things fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.packets import Refused
from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.events.outbox.servers import ENTRIES, options_for, partner_of, serving, until_empty
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3
from tests.support.server import Server


async def test_files_of_openssh_and_rclone_are_announced_once_under_their_final_names(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    """rclone uploads under a temporary name and renames."""
    rclone = installed("rclone")
    (tmp_path / "local/tree").mkdir(parents=True)
    (tmp_path / "local/a.csv").write_bytes(b"1,2")
    (tmp_path / "local/tree/b.csv").write_bytes(b"1,2,3")
    (tmp_path / "local/tree/empty").touch()
    async with (
        Listener() as listener,
        serving(tmp_path / "server", store, bucket, options_for(listener)) as (server, _),
    ):
        clients = Clients(server, tmp_path / "home")
        (await clients.sftp(f"put {tmp_path}/local/a.csv /a.csv")).ok()
        (await clients.rclone("copy", f"{tmp_path}/local/tree", "alice:/tree", program=rclone)).ok()
        await listener.until_events(3)
        (await clients.sftp("rename /a.csv /done.csv", "rm /tree/empty")).ok()
        await listener.until_events(5)
        await until_empty(s3)
    assert listener.stories[0] == ("upload.committed", "/a.csv")
    assert sorted(listener.stories) == [
        ("file.removed", "/tree/empty"),
        ("file.renamed", "/done.csv"),
        ("upload.committed", "/a.csv"),
        ("upload.committed", "/tree/b.csv"),
        ("upload.committed", "/tree/empty"),
    ]
    sizes = {event["subject"]: event["data"]["size"] for event in listener.events[:3]}
    assert sizes == {"/a.csv": 3, "/tree/b.csv": 5, "/tree/empty": 0}
    assert listener.duplicates == 0


async def test_an_event_costs_a_put_and_a_delete_and_an_unwanted_one_nothing(
    store: Store, bucket: str, s3: S3, tmp_path: Path, proxy: FaultProxy, proxied: Store
) -> None:
    async with (
        Listener() as listener,
        serving(
            tmp_path / "server",
            proxied,
            bucket,
            options_for(listener, sink={"paths": ["*.csv"]}, takeover_time="1 h"),
        ) as (_, client),
    ):
        await client.put(b"/first.csv", b"1")  # with the lease of the outbox
        await listener.until_events(1)
        await until_empty(s3)
        proxy.log.clear()
        await client.put(b"/second.csv", b"1")
        await listener.until_events(2)
        await until_empty(s3)
        outbox = {seen.api for seen in proxy.log if ".s3sftp/" in seen.key}
        assert outbox == {"PutObject", "DeleteObject"}
        assert dict(proxy.log.by_api()) == {"PutObject": 2, "DeleteObject": 1}
        proxy.log.clear()
        await client.put(b"/unwanted.txt", b"1")
        await client.put(b"/unwanted.csv.filepart", b"1")
        assert dict(proxy.log.by_api()) == {"PutObject": 2}


async def test_a_synchronous_sink_decides_what_close_answers_and_the_event_is_not_lost(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with (
        Listener() as listener,
        serving(
            tmp_path / "server",
            store,
            bucket,
            options_for(listener, sink={"synchronous": True, "kinds": ["upload.committed"]}),
        ) as (_, client),
    ):
        await client.put(b"/good", b"1")
        assert listener.stories == [("upload.committed", "/good")], "accepted before CLOSE was answered"
        listener.status = 503
        with pytest.raises(Refused, match="the file is stored"):
            await client.put(b"/late", b"2")
        assert await s3.body("alice/late") == b"2"
        listener.status = 200
        await listener.until_events(2)
        await client.put(b"/good again", b"3")
        assert len(listener.ids) == 3
        await until_empty(s3)


async def test_an_upload_whose_entry_cannot_be_written_is_refused_and_not_stored(
    bucket: str, s3: S3, tmp_path: Path, proxy: FaultProxy, proxied: Store
) -> None:
    async with (
        Listener() as listener,
        serving(tmp_path / "server", proxied, bucket, options_for(listener)) as (_, client),
    ):
        rule = proxy.on("PutObject", do=Answer(403, "AccessDenied"), key=r"s3sftp/events/entries")
        with pytest.raises(Refused):
            await client.put(b"/f", b"1")
        rule.times = 0
        await listener.until_events(1)
        assert await s3.keys("alice/") == []
        await client.put(b"/f", b"1")
        await listener.until_events(2)
    assert listener.stories == [("upload.failed", "/f"), ("upload.committed", "/f")]


async def test_two_workers_deliver_each_their_own_events_once(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with Listener() as listener:
        options = {**options_for(listener), "server": {"workers": 2}}
        server = Server(tmp_path / "server", store, bucket, options)
        try:
            await server.astart()
            for number in range(4):
                async with partner_of(server) as client:
                    await client.put(f"/{number}".encode(), b"1")
            await listener.until_events(4)
            await until_empty(s3)
            assert listener.duplicates == 0
            assert await s3.keys(ENTRIES) == []
        finally:
            await asyncio.to_thread(server.close)
