"""Servers as the benchmark sees them, which are not there."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.identity import Identity
from bench.peers import PeerServer
from bench.peers.peer import Site
from bench.serving import Serving
from testbed.processes import Process, free_port
from testbed.s3_store import Store


def nowhere(peer: PeerServer, directory: Path, program: str = "") -> Serving:
    """A server at whose port nobody listens; its process is a program in Python, by default one that ends."""
    store = Store("none", "http://127.0.0.1:9", "key", "secret")
    identity = Identity.make(directory / "keys")
    site = Site(directory, free_port(), identity, store, "bucket", directory / "folder", 9)
    process = Process([sys.executable, "-c", program], directory / "log")
    if not program:
        process.wait()
    return Serving(peer, site, process)
