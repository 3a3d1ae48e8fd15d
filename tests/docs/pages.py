"""Pages whose blocks run, one after the other, as in `python -m asyncio`."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


async def run_blocks(name: str) -> tuple[int, dict[str, Any]]:
    """Run every Python block of a page of docs/; how many there were, and the names that they left."""
    file = DOCS / name
    page = file.read_text("utf-8")
    blocks = list(_BLOCK.finditer(page))
    assert len(blocks) == page.count("```python")
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        line = page.count("\n", 0, block.start()) + 1
        source = "\n" * line + block[1]  # so that a traceback has the lines of the page
        code = compile(source, str(file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)  # the page's own
        if inspect.iscoroutine(result):
            await result
    return len(blocks), names


def blocks_of(name: str, language: str) -> list[str]:
    """The blocks of a page that are in a language."""
    page = (DOCS / name).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)
