"""Writes the tables of docs/algorithms.md from the policies themselves: `python docs/tools/algorithms.py`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from s3sftp.ssh.algorithms import BY_NAME, COMPATIBLE, FIPS, MODERN, REFUSED, RISKS, Kind

PAGE = Path(__file__).parent.parent / "algorithms.md"
TITLES: Mapping[Kind, str] = {
    "key_exchanges": "Key exchange",
    "ciphers": "Ciphers",
    "macs": "Message authentication codes",
    "signatures": "Signatures of host keys and users' keys",
}
BEGIN, END = "<!-- lists -->\n", "<!-- /lists -->\n"


def main() -> None:
    PAGE.write_text(page(), "utf-8")


def page() -> str:
    """The page with the tables as they should be."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: BEGIN + tables() + END, PAGE.read_text("utf-8"), flags=re.S)


def tables() -> str:
    """What is offered, what of it is weak, and what never is."""
    parts = []
    for kind, title in TITLES.items():
        policies = {"modern": MODERN, "compatible": COMPATIBLE, "by name": BY_NAME}
        rows = [
            (f"`{name}`", f"{policy}, fips" if name in FIPS[kind] else policy)
            for policy, names in policies.items()
            for name in names[kind]
        ]
        parts.append(_section(title, ("algorithm", "offered"), rows))
    parts.append(_section("What is weak, and its risk", ("algorithm", "risk"), _quoted(RISKS)))
    parts.append(_section("What is never offered", ("any other name with", "why"), _quoted(REFUSED)))
    return "".join(parts)


def _quoted(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"`{name}`", reason) for name, reason in reasons.items()]


def _section(title: str, columns: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {one} | {other} |" for one, other in (columns, ("-", "-"), *rows)]
    return f"\n## {title}\n\n" + "\n".join(lines).replace("| - | - |", "|---|---|") + "\n"


if __name__ == "__main__":
    sys.exit(main())
