"""Writes the table of values in helm/s3sftp/README.md: `python helm/tools/readme.py`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent))

from comments import VALUES, comments

FILE = VALUES.parent / "README.md"
_BEGIN, _END = "<!-- values -->", "<!-- /values -->"


def table() -> str:
    """A row for each value that has a comment."""
    values = yaml.safe_load(VALUES.read_text("utf-8"))
    rows = [
        f"| `{path}` | {_escaped(about)} | {_default(values, path)} |" for path, about in comments().items()
    ]
    return "\n".join(["| value | what it is for | default |", "|---|---|---|", *rows])


def _default(values: Any, path: str) -> str:
    for name in path.split("."):
        values = values[name]
    if path in ("config", "config.s3") or (isinstance(values, dict) and len(values) > 2):
        return "see values.yaml"
    return f"`{_escaped(json.dumps(values, ensure_ascii=False))}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    text = FILE.read_text("utf-8")
    return re.sub(f"{_BEGIN}.*{_END}", lambda _: f"{_BEGIN}\n{table()}\n{_END}", text, flags=re.S)


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
