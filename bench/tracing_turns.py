"""`python -m bench.tracing_turns`: what tracing by default costs for small files, on a machine that is busy.

One server, whose tracing is turned off and on, serves OpenSSH clients that put and get files of 10 KB in
short turns. Two processes of the same program differ by some per cent for as long as they live, and other
work slows down all turns alike; so the two turns of a pair, in an order that changes, are compared. What the
exporter's thread does counts for the turns with tracing, whenever it does it. The first turns, which use up
what a server saves of ordinary spans while it is quiet, do not count. It saves in the turns without tracing,
too, so it has half of the default share.

With `--bytecodes` it counts those that the event loop runs, which no other work disturbs, and the spans; all
ordinary spans are dropped, as almost all are that a busy server makes.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.clients import openssh
from bench.environment import BenchEnvironment
from bench.meter import thread_cpu_seconds
from bench.peers.peer import Command, Site
from bench.serving import Serving, serving
from bench.sizes import QUICK
from bench.tracing import Traced, collector
from bench.tracing_switch import COUNT_VARIABLE, STATE_VARIABLE, SWITCH
from s3sftp.telemetry.options import TracingOptions

_TIMEOUT = 600
_EXPORT_SECONDS = 5
"""Between two exports, as by default."""
_SAMPLES = 2000
"""Of the pairs, drawn to see how sure the ratio is."""


class Switching(NamedTuple):
    """What a server says when its tracing is turned off or on."""

    exporter: int
    """The id of the thread that exports."""
    bytecodes: int
    """Those of the event loop since the last time; 0 if they are not counted."""
    spans: int
    """Likewise."""


class Switched(Traced):
    """With tracing that can be turned off and on."""

    def __init__(self, mode: str, endpoint: str, state: Path, *, counts: bool) -> None:
        super().__init__(mode, endpoint, _EXPORT_SECONDS * 1000)
        self._state = state
        self._counts = counts

    def command(self, site: Site) -> Command:
        command = super().command(site)
        words = ["bench.tracing_switch" if word == "s3sftp" else word for word in command.words]
        share = 0 if self._counts else TracingOptions().ordinary_spans // 2
        more = {"S3SFTP_TRACING__ORDINARY_SPANS": str(share), STATE_VARIABLE: str(self._state)}
        more |= {COUNT_VARIABLE: "1"} if self._counts else {}
        return Command(words, {**command.environment, **more})

    def turn(self, server: Serving, wanted: str) -> Switching:
        """Turn tracing `on` or `off`.

        Raises SystemExit: if no thread exports spans: then nothing could be compared.
        """
        while True:
            self._state.unlink(missing_ok=True)
            os.kill(server.process.pid, SWITCH)
            while not self._state.exists():
                time.sleep(0.001)
            state, *numbers = self._state.read_text().split()
            switching = Switching(*map(int, numbers))
            if not switching.exporter:
                raise SystemExit("no thread of the server exports spans")
            if state == wanted:
                return switching


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tracing_turns", description="What tracing costs.")
    parser.add_argument("--mode", default="default", help="as in bench.tracing: default, folded, each, …")
    parser.add_argument("--turns", type=int, default=80, help="with tracing, and as many without")
    parser.add_argument("--files", type=int, default=25, help="of a client in a turn")
    parser.add_argument("--clients", type=int, default=4, help="at once")
    parser.add_argument("--bytecodes", action="store_true", help="count them, and not the time")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    with ExitStack() as stack:
        environment = stack.enter_context(BenchEnvironment(words.scratch, QUICK))
        endpoint = stack.enter_context(collector())
        scratch = stack.enter_context(environment.scratch())
        (scratch / "file").write_bytes(os.urandom(10_000))
        peer = Switched(words.mode, endpoint, scratch / "state", counts=words.bytecodes)
        place = stack.enter_context(environment.place(peer, "", shared=False))
        server = stack.enter_context(serving(peer, environment.site(place, scratch / "server")))
        compare = _count if words.bytecodes else _compare
        for work in (puts, gets):
            compare(work.__name__, words, peer, server, doing(work, words.files, words.clients, scratch))
    print(f"load average {os.getloadavg()[0]:.1f}")


def _compare(
    name: str, words: argparse.Namespace, peer: Switched, server: Serving, work: Callable[[Serving], None]
) -> None:
    peer.turn(server, "on")
    for _ in range(8):
        work(server)
    took: dict[str, list[float]] = {"off": [], "on": []}
    exporter = peer.turn(server, "on").exporter
    exported = thread_cpu_seconds(server.process.pid, exporter)
    for pair in range(words.turns):
        for wanted in ("on", "off") if pair % 2 else ("off", "on"):
            peer.turn(server, wanted)
            before = _without(server.process.pid, exporter)
            work(server)
            took[wanted].append(_without(server.process.pid, exporter) - before)
    time.sleep(_EXPORT_SECONDS)
    each = (thread_cpu_seconds(server.process.pid, exporter) - exported) / words.turns
    on = [seconds + each for seconds in took["on"]]
    low, middle, high = _spread(list(zip(took["off"], on, strict=True)))
    files = words.files * words.clients * words.turns / 1000
    print(
        f"{name:5} off {sum(took['off']) / files:6.3f} CPU ms a file  {words.mode} {sum(on) / files:6.3f}, of"
        f" which {each * words.turns / files:.3f} to export  {middle:+.1%} ({low:+.1%} to {high:+.1%})",
        flush=True,
    )


def _count(
    name: str, words: argparse.Namespace, peer: Switched, server: Serving, work: Callable[[Serving], None]
) -> None:
    work(server)
    found = {}
    for state, following in (("off", "on"), ("on", "off")):
        peer.turn(server, state)
        work(server)
        found[state] = peer.turn(server, following)
    files = words.files * words.clients
    off, on = found["off"].bytecodes, found["on"].bytecodes
    print(
        f"{name:5} off {off / files:.0f} bytecodes a file  {words.mode} {on / files:.0f}  {on / off - 1:+.1%}"
        f"  {found['on'].spans / files:.1f} spans",
        flush=True,
    )


def _without(pid: int, thread: int) -> float:
    """CPU seconds of a process, without one of its threads."""
    return thread_cpu_seconds(pid) - thread_cpu_seconds(pid, thread)


def _spread(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """How much more the second of each pair is, on average, and the borders within which that is for 95 % of
    the choices of as many of the pairs."""
    logs = [math.log(on / off) for off, on in pairs]
    dice = random.Random(0)
    means = sorted(statistics.fmean(dice.choices(logs, k=len(logs))) for _ in range(_SAMPLES))
    found = (means[_SAMPLES // 40], statistics.fmean(logs), means[-_SAMPLES // 40])
    return (math.expm1(found[0]), math.expm1(found[1]), math.expm1(found[2]))


def puts(scratch: Path, name: str) -> list[str]:
    """Under a temporary name, with its time, and renamed."""
    return [f"put -p {scratch / 'file'} {name}.partial", f"rename {name}.partial {name}"]


def gets(scratch: Path, name: str) -> list[str]:
    return [f"get {name} {scratch / f'got-{name}'}"]


def doing(
    work: Callable[[Path, str], list[str]], files: int, clients: int, scratch: Path
) -> Callable[[Serving], None]:
    """What clients of OpenSSH do in a turn, with `files` each."""

    def turn(server: Serving) -> None:
        batches = [
            [f"cd {server.remote('')}"]
            + [line for number in range(files) for line in work(scratch, f"f{client}-{number}")]
            for client in range(clients)
        ]
        openssh.sftp(server, batches, scratch, _TIMEOUT)

    return turn


if __name__ == "__main__":
    main()
