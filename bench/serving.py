"""A peer that runs, and that clients can reach."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.failures import Failed
from bench.meter import cpu_seconds
from bench.peers import PeerServer
from bench.peers.peer import Site
from testbed.processes import Process

START_SECONDS = 60
QUIET_SECONDS = 0.7
QUIET_CPU_SECONDS = 0.02


@dataclass(frozen=True)
class Serving:
    """Where clients find a server."""

    peer: PeerServer
    site: Site
    process: Process
    host: str = "127.0.0.1"

    def remote(self, path: str) -> str:
        """A path as this server's clients say it."""
        return f"{self.peer.root(self.site)}/{path}"

    def last_words(self) -> str:
        return self.process.output()[-2000:]


@contextmanager
def serving(peer: PeerServer, site: Site) -> Iterator[Serving]:
    """Start a peer; killed with the block."""
    site.directory.mkdir(parents=True, exist_ok=True)
    command = peer.command(site)
    process = Process(command.words, site.directory / "log", env=command.full_environment)
    try:
        try:
            process.wait_ready(lambda: speaks_ssh(site.port), START_SECONDS)
            process.wait_ready(_Quiet(process.pid), START_SECONDS)
        except (RuntimeError, TimeoutError) as error:
            raise Failed(f"{peer.name} did not start: {error}") from None
        yield Serving(peer, site, process)
    finally:
        process.kill()


class _Quiet:
    """Whether a server has done nothing for a while: some go on starting when they listen already."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used = -1.0
        self._since = time.monotonic()

    def __call__(self) -> bool:
        now, used = time.monotonic(), cpu_seconds(self._pid)
        if used - self._used > QUIET_CPU_SECONDS:
            self._used, self._since = used, now
        return now - self._since > QUIET_SECONDS


def speaks_ssh(port: int) -> bool:
    """Whether a server there says hello as SSH does."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as hello:
        return hello.recv(4) == b"SSH-"
    return False
