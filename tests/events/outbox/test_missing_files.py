"""A real server announces that a partner's file has not come, once, and not that of one that has."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.events.outbox.servers import options_for, partner_of, serving, until_empty
from tests.support.s3_client import S3


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_file_that_has_not_come_is_announced_once_by_one_of_all_processes(
    workers: int, store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    due = datetime.now(UTC) - timedelta(minutes=5)
    rules = {
        f"events.expect.{name}": {
            "user": "alice",
            "path": f"/in/{name}-{{date}}.csv",
            "by": f"{due:%H:%M} UTC",
        }
        for name in ("stored", "missing")
    }
    async with serving(tmp_path / "other", store, bucket, {}) as (_, client):  # with no state in common
        await client.mkdir(b"/in")
        await client.put(f"/in/stored-{due:%Y-%m-%d}.csv".encode(), b"1,2")
    async with Listener() as listener:
        options = options_for(listener, sink={"kinds": ["file.missing"]}) | rules
        options["server"] = {"workers": workers}
        async with serving(tmp_path / "server", store, bucket, options) as (server, _):
            await listener.until_events(1)
            await until_empty(s3)
        await server.restart()
        async with partner_of(server) as client:
            await client.put(b"/x", b"")
        await asyncio.to_thread(server.close)
        assert len(server.events("file.missing")) == 1
    (event,) = listener.events
    assert event["type"] == "s3sftp.file.missing"
    assert event["subject"] == f"/in/missing-{due:%Y-%m-%d}.csv"
    assert {key: event["data"][key] for key in ("user", "rule", "reason")} == {
        "user": "alice",
        "rule": "missing",
        "reason": "absent",
    }
