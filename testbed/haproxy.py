"""haproxy in front of a server, as an operator would configure it."""

from __future__ import annotations

import contextlib
import csv
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.processes import Process, free_port, program

_GLOBAL = """
global
    stats socket {socket} mode 600 level admin
    maxconn 200
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    timeout check 5s
"""


@dataclass(frozen=True)
class Proxied:
    """One listening address, and how its connections go on."""

    name: str
    server: str
    """The options of haproxy's `server` line: address first."""
    host: str = "127.0.0.1"
    lines: tuple[str, ...] = ()
    bind: str = ""
    """Options of haproxy's `bind` line."""


class Haproxy:
    """Runs until it is closed."""

    def __init__(self, directory: Path, proxied: Iterable[Proxied]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._socket = directory / "stats"
        self.ports: dict[str, int] = {}
        parts = [_GLOBAL.format(socket=self._socket)]
        for each in proxied:
            port = self.ports[each.name] = free_port()
            lines = (
                f"bind {f'[{each.host}]' if ':' in each.host else each.host}:{port} {each.bind}".rstrip(),
                *each.lines,
            )
            parts.append("\n    ".join((f"listen {each.name}", *lines, f"server one {each.server}")) + "\n")
        config = directory / "haproxy.cfg"
        config.write_text("\n".join(parts))
        self._process = Process(
            [program("haproxy") or "haproxy", "-db", "-f", str(config)], directory / "haproxy.log"
        )

    def start(self) -> Haproxy:
        """Block until it listens."""
        self._process.wait_ready(self._answers)
        return self

    def close(self) -> None:
        self._process.kill()

    def output(self) -> str:
        return self._process.output()

    def checks(self, name: str) -> tuple[str, str]:
        """What haproxy thinks of the server: its state, and how the last check ended."""
        rows = csv.DictReader(self._ask("show stat").removeprefix("# ").splitlines())
        (row,) = (row for row in rows if (row["pxname"], row["svname"]) == (name, "one"))
        # a star says that the next check is under way
        return row["status"], row["check_status"].removeprefix("* ")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._ask("show info"))
        return False

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self._socket))
            sock.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode()
