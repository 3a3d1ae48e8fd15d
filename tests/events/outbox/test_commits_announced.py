"""A commit reaches the sink, and its entry leaves the outbox; what is unwanted costs nothing."""

from __future__ import annotations

from pathlib import Path

from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.events.outbox.servers import options_for, serving, until_empty
from tests.support.s3_client import S3


async def test_an_upload_is_announced_with_what_is_stored_and_leaves_nothing_in_the_outbox(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with (
        Listener() as listener,
        serving(tmp_path / "server", store, bucket, options_for(listener)) as (_, client),
    ):
        await client.put(b"/in.csv", b"1,2,3")
        await client.put(b"/empty", b"")
        await listener.until_events(2)
        head = await s3.head("alice/in.csv")
        await until_empty(s3)
    event, empty = listener.events
    assert event["type"] == "s3sftp.upload.committed"
    assert event["specversion"] == "1.0"
    assert event["subject"] == "/in.csv"
    data = event["data"]
    assert (data["bucket"], data["key"], data["path"]) == (bucket, "alice/in.csv", "/in.csv")
    assert (data["size"], data["etag"]) == (5, head["ETag"].strip('"'))
    assert data["user"] == "alice"
    assert data["certainty"] == "confirmed"
    assert data["peer"].startswith("127.0.0.1")
    assert data["session"]
    assert data["checksum"]
    assert (empty["subject"], empty["data"]["size"]) == ("/empty", 0)


async def test_a_file_that_is_uploaded_again_is_another_event_with_the_same_etag_and_checksum(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    """As after a CLOSE whose answer the client did not get: receivers know the file again by its ETag."""
    async with (
        Listener() as listener,
        serving(tmp_path / "server", store, bucket, options_for(listener)) as (_, client),
    ):
        for _ in range(2):
            await client.put(b"/in.csv", b"1,2,3")
        await listener.until_events(2)
    first, second = listener.events
    assert first["id"] != second["id"]
    for name in ("key", "etag", "checksum"):
        assert first["data"][name] == second["data"][name]
