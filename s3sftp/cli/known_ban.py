"""Asks the server that runs on this machine whether it bans an address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s3sftp.app.control_socket import CannotControl, ask
from s3sftp.auth import source_of


@dataclass(frozen=True, slots=True)
class KnownBan:
    """What is known about the ban of an address."""

    state: Literal["banned", "none", "unknown"]
    reason: str | None = None
    """What the address has done; or why it is unknown whether it is banned."""
    until: str | None = None
    """The end of the ban, in ISO 8601."""


def known_ban(state_dir: Path, address: str) -> KnownBan:
    """The ban of an address at the server with this state directory. Blocking."""
    try:
        bans = ask(state_dir, {"command": "bans.list"})["bans"]
    except CannotControl as problem:
        return KnownBan("unknown", str(problem))
    source = source_of(address)
    for ban in bans:
        if ban["source"] == source:
            return KnownBan("banned", ban["reason"], ban["until"])
    return KnownBan("none")
