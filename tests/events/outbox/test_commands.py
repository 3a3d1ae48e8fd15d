"""`s3sftp events`: what waits and what was refused, and how it is offered again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner, Result

from s3sftp.cli.events import events
from testbed.s3_store import Store
from tests.events.outbox.listener import Listener
from tests.events.outbox.servers import options_for, serving, until_empty, until_there
from tests.support.s3_client import S3


async def run(config: Path, *words: str) -> Result:
    """A command in a thread of this process, which is much faster than a process of its own."""
    return await asyncio.to_thread(CliRunner().invoke, events, [*words, "--config", str(config)])


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
        listed = await run(server.config_file, "list", "--json")
        assert listed.exit_code == 0, listed.output
        (line,) = map(json.loads, listed.stdout.splitlines())
        assert (line["state"], line["sink"], line["attempts"]) == ("refused", "hook", 1)
        assert line["event"]["subject"] == "/refused.csv"
        assert "refused  hook  upload.committed  1" in (await run(server.config_file, "list")).stdout
        assert (await run(server.config_file, "replay", "--id", "nothing")).exit_code == 1
        assert (await run(server.config_file, "replay")).exit_code == 2
        listener.status = 200
        replayed = await run(server.config_file, "replay", "--id", line["event"]["id"])
        assert replayed.exit_code == 0, replayed.output
        await listener.until_events(1)
        await until_empty(s3)
        assert (await run(server.config_file, "list")).stdout == ""
    assert listener.stories == [("upload.committed", "/refused.csv")]
