"""Asks the server that runs on this machine whether it bans an address."""

from __future__ import annotations

from pathlib import Path

from s3sftp.app.control_socket import CannotControl, ask
from s3sftp.app.login_report import KnownBan
from s3sftp.auth import source_of


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
