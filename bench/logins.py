"""`python -m bench.logins`: what a login takes of the server, and how long others wait while many log in.

Prints for each server the CPU milliseconds of a login by key with an SFTP session, and the 99th percentile of
the time that a client who is logged in waits for an answer while others log in side by side, round after
round. The client asks for a REALPATH every few milliseconds, for which no server asks its storage. All
clients are OpenSSH's.

The servers take turns. The minimum of the CPU time of all runs counts, because other work on the machine only
adds to it; of the waits, the median of the runs.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.clients import openssh
from bench.clients.raw import RawClient, raw_client
from bench.environment import BenchEnvironment
from bench.meter import Meter
from bench.peers import PEERS, PeerServer
from bench.serving import Serving, serving
from bench.sizes import QUICK

_PEERS = "s3sftp,openssh,rclone"
_FIRST = 8
"""Logins that load code and do not count."""
_CLIENT_SECONDS = 300.0
_PAUSE_SECONDS = 0.005
"""Between two requests of the client that waits, who shall not be the work of the server."""
_BATCH = ("pwd",)
"""What each client does: nothing that reaches a storage."""


@dataclass(frozen=True)
class Logins:
    """What one run has measured."""

    cpu_seconds: float
    """Of the server, for each login."""
    waits: Sequence[float]
    """Seconds until each answer to the client who was logged in."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.logins", description="What logins take.")
    parser.add_argument("--peers", default=_PEERS, help="by comma, as of python -m bench")
    parser.add_argument("--logins", type=int, default=100, help="logins of which the CPU time is measured")
    parser.add_argument("--together", type=int, default=16, help="clients that log in side by side")
    parser.add_argument("--rounds", type=int, default=8, help="how often these do so")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    peers = [peer for name in words.peers.split(",") if _is_there(peer := PEERS[name])]
    found: defaultdict[str, list[Logins]] = defaultdict(list)
    with BenchEnvironment(words.scratch, QUICK) as environment:
        for run in range(words.runs):
            for peer in peers if run % 2 == 0 else reversed(peers):
                found[peer.name].append(
                    _measured(environment, peer, words.logins, words.together, words.rounds)
                )
    for name, runs in found.items():
        print(_line(name, runs, words.together), flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


def _is_there(peer: PeerServer) -> bool:
    if reason := peer.missing():
        print(f"LEFT OUT: {peer.name}: {reason}", file=sys.stderr)
    return not reason


def _line(name: str, runs: Sequence[Logins], together: int) -> str:
    cpu = min(run.cpu_seconds for run in runs) * 1000
    waits = statistics.median(percentile(run.waits, 99) for run in runs) * 1000
    every = " ".join(f"{run.cpu_seconds * 1000:.1f}" for run in runs)
    return (
        f"{name:12} {cpu:5.1f} CPU ms a login; others wait {waits:5.1f} ms at the 99th percentile while "
        f"{together} log in   (CPU {every}; {sum(len(run.waits) for run in runs)} waits)"
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _measured(
    environment: BenchEnvironment, peer: PeerServer, logins: int, together: int, rounds: int
) -> Logins:
    with (
        environment.scratch() as scratch,
        environment.place(peer, "", shared=False) as place,
        serving(peer, environment.site(place, scratch / "server")) as server,
    ):
        _log_in(server, _FIRST, scratch)
        meter = Meter(server.process.pid)
        meter.start()
        try:
            _log_in(server, logins, scratch)
        except BaseException:
            meter.cancel()
            raise
        cpu_seconds, _ = meter.stop()
        with raw_client(server, scratch / "waiting.log", _CLIENT_SECONDS) as client:
            return Logins(cpu_seconds / logins, _waits(server, client, together, rounds, scratch))


def _log_in(server: Serving, count: int, scratch: Path) -> None:
    """Log in so many times, one after the other."""
    for _ in range(count):
        openssh.sftp(server, [_BATCH], scratch, _CLIENT_SECONDS)


def _waits(server: Serving, client: RawClient, together: int, rounds: int, scratch: Path) -> list[float]:
    """How long the client waits for each answer, while so many others log in at once, so many times."""
    ended = threading.Event()
    failures: list[BaseException] = []

    def log_in() -> None:
        try:
            for _ in range(rounds):
                openssh.sftp(server, [_BATCH] * together, scratch, _CLIENT_SECONDS)
        except BaseException as failure:
            failures.append(failure)
        finally:
            ended.set()

    others = threading.Thread(target=log_in)
    others.start()
    waits = []
    while not ended.is_set():
        waits.append(client.real_path("."))
        time.sleep(_PAUSE_SECONDS)
    others.join()
    if failures:
        raise failures[0]
    return waits


if __name__ == "__main__":
    main()
