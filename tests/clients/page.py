"""What docs/clients.md says of each client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs/clients.md"
_TRIED, _AGREED = "| client | version |", "| says of itself |"
Agreed = tuple[str, str, str, str]


@cache
def tried() -> list[list[str]]:
    """Client, version, what tries it, what to set."""
    return _table(_TRIED)


@cache
def agreed() -> dict[str, Agreed]:
    """By how a client begins to name itself: key exchange, host key, cipher, MAC."""
    rows = [[cell.strip("`") for cell in row] for row in _table(_AGREED)]
    return {name: (exchange, host_key, cipher, mac) for name, exchange, host_key, cipher, mac in rows}


def compare(login: Mapping[str, Any]) -> None:
    """Hold a login, as the log tells it, to its row. Versions that have none are an error in CI alone."""
    name = str(login["client"]).removeprefix("SSH-2.0-")
    mac = "none" if login["mac"] == login["cipher"] else login["mac"]
    found = (login["key_exchange"], login["host_key"], login["cipher"], mac)
    rows = sorted((beginning for beginning in agreed() if name.startswith(beginning)), key=len)
    if rows:
        assert found == agreed()[rows[-1]], f"docs/clients.md is not right of {name}: {found}"
    else:
        assert not os.environ.get("CI"), f"docs/clients.md has no row for {name}: {found}"


def _table(head: str) -> list[list[str]]:
    lines = PAGE.read_text("utf-8").partition(head)[2].splitlines()[2:]
    table = lines[: lines.index("")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
