"""The blocks of docs/embedding.md run, one after the other, as in `python -m asyncio`."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import s3sftp
from s3sftp.auth import AuthOptions

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


async def test_every_block_of_the_page_runs() -> None:
    page = PAGE.read_text("utf-8")
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) == page.count("```python") >= 8
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        line = page.count("\n", 0, block.start()) + 1
        source = "\n" * line + block[1]  # so that a traceback has the lines of the page
        code = compile(source, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)  # the page's own
        if inspect.iscoroutine(result):
            await result


def test_the_page_says_the_defaults_that_there_are() -> None:
    page, subscriber = PAGE.read_text("utf-8"), s3sftp.Subscriber.__dataclass_fields__
    parameters = inspect.signature(s3sftp.Server).parameters
    assert f"`drain_timeout` ({parameters['drain_timeout'].default:.0f} s)" in page
    logins = AuthOptions()
    assert f"`refusal_time` ({logins.refusal_time.total_seconds()} s)" in page
    assert f"`answer_timeout` ({logins.answer_timeout.total_seconds():.0f} s)" in page
    shown = dict(re.findall(r"^    (queue|queue_wait|batch_wait|first_pause|time_limit)=(\d+),", page, re.M))
    assert shown == {name: f"{subscriber[name].default:.0f}" for name in shown}
    assert len(shown) == 5
