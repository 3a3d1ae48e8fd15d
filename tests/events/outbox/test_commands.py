"""`s3sftp events`: what waits and what was refused, and how it is offered again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.events.outbox.servers import options_for, serving, until_empty, until_there
from tests.support.s3_client import S3


async def events(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "s3sftp", "events", *words, "--config", str(config)]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=120, check=False
    )


async def test_refused_events_are_listed_and_offered_again_by_the_commands(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    async with (
        Listener() as listener,
        serving(tmp_path / "server", store, bucket, options_for(listener)) as (server, client),
    ):
        listener.status = 400
        await client.put(b"/refused.csv", b"1")
        await until_there(s3, ".s3sftp/events/refused/")
        await until_empty(s3)
        listed = await events(server.config_file, "list", "--json")
        assert listed.returncode == 0, listed.stderr
        (line,) = map(json.loads, listed.stdout.splitlines())
        assert (line["state"], line["sink"], line["attempts"]) == ("refused", "hook", 1)
        assert line["event"]["subject"] == "/refused.csv"
        assert "refused  hook  upload.committed  1" in (await events(server.config_file, "list")).stdout
        assert (await events(server.config_file, "replay", "--id", "nothing")).returncode == 1
        assert (await events(server.config_file, "replay")).returncode == 2
        listener.status = 200
        replayed = await events(server.config_file, "replay", "--id", line["event"]["id"])
        assert replayed.returncode == 0, replayed.stderr
        await listener.until_events(1)
        await until_empty(s3)
        assert (await events(server.config_file, "list")).stdout == ""
    assert listener.stories == [("upload.committed", "/refused.csv")]
