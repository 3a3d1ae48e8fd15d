"""The blocks of docs/embedding.md run, one after the other, as in `python -m asyncio`."""

from __future__ import annotations

import inspect
import re

import s3sftp
from s3sftp.auth import AuthOptions
from tests.docs.pages import DOCS, run_blocks


async def test_every_block_of_the_page_runs() -> None:
    count, _ = await run_blocks("embedding.md")
    assert count >= 8


def test_the_page_says_the_defaults_that_there_are() -> None:
    page = (DOCS / "embedding.md").read_text("utf-8")
    subscriber = s3sftp.Subscriber.__dataclass_fields__
    parameters = inspect.signature(s3sftp.Server).parameters
    assert f"`drain_timeout` ({parameters['drain_timeout'].default:.0f} s)" in page
    logins = AuthOptions()
    assert f"`refusal_time` ({logins.refusal_time.total_seconds()} s)" in page
    assert f"`answer_timeout` ({logins.answer_timeout.total_seconds():.0f} s)" in page
    shown = dict(re.findall(r"^    (queue|queue_wait|batch_wait|first_pause|time_limit)=(\d+),", page, re.M))
    assert shown == {name: f"{subscriber[name].default:.0f}" for name in shown}
    assert len(shown) == 5
