"""The comments of values.yaml that begin with `# --`: what each value is for."""

from __future__ import annotations

import re
from pathlib import Path

VALUES = Path(__file__).parent.parent / "s3sftp" / "values.yaml"
_KEY = re.compile(r"( *)([A-Za-z_][A-Za-z0-9_]*):")


def comments() -> dict[str, str]:
    """By the dotted path of the value, in the order of the file."""
    found: dict[str, str] = {}
    at: list[tuple[int, str]] = []
    said: list[str] = []
    for line in VALUES.read_text("utf-8").splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            said = [text.removeprefix("# -- ")]
        elif text.startswith("# ") and said:
            said.append(text.removeprefix("# "))
        elif match := _KEY.match(line):
            at = [each for each in at if each[0] < len(match[1])] + [(len(match[1]), match[2])]
            if said:
                found[".".join(name for _, name in at)] = " ".join(said)
            said = []
        else:
            said = []
    return found
