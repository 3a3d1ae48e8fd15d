"""`python -m bench.tracing_turns`: what tracing by default costs for small files, on a machine that is busy.

Two servers run side by side, one without tracing and one with, and an OpenSSH client puts and gets files of
10 KB on them in turns of some seconds. Other work slows down both alike, so the ratio of two turns that
follow each other says more than CPU times of different minutes do. The first turns, which use up what a
server saves of ordinary spans while it is quiet, do not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.clients import openssh
from bench.environment import BenchEnvironment
from bench.serving import Serving, serving
from bench.sizes import QUICK
from bench.tracing import Traced, collector
from bench.turns import cpu_by_turns

_TIMEOUT = 600
EXPORT_SECONDS = 5
"""Between two exports, as by default."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tracing_turns", description="What tracing costs.")
    parser.add_argument("--mode", default="default", help="as in bench.tracing: default, folded, each, …")
    parser.add_argument("--turns", type=int, default=8, help="of each server")
    parser.add_argument("--files", type=int, default=100, help="in a turn")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    with ExitStack() as stack:
        environment = stack.enter_context(BenchEnvironment(words.scratch, QUICK))
        endpoint = stack.enter_context(collector())
        scratch = stack.enter_context(environment.scratch())
        (scratch / "file").write_bytes(os.urandom(10_000))
        servers = [_started(stack, environment, mode, endpoint) for mode in ("off", words.mode)]
        for work in (puts, gets):
            took = cpu_by_turns(servers, doing(work, words.files, scratch), words.turns, EXPORT_SECONDS)
            off, on = (sum(each) / words.turns / words.files * 1000 for each in took)
            ratio = statistics.median(b / a for a, b in zip(*took, strict=True))
            print(
                f"{work.__name__:5} off {off:6.3f} CPU ms a file  {words.mode} {on:6.3f}"
                f"  median of the ratios {ratio - 1:+.1%}, of the sums {on / off - 1:+.1%},"
                f" of the least turns {min(took[1]) / min(took[0]) - 1:+.1%}",
                flush=True,
            )
    print(f"load {os.getloadavg()[0]:.1f}")


def _started(stack: ExitStack, environment: BenchEnvironment, mode: str, endpoint: str) -> Serving:
    server = Traced(mode, endpoint, EXPORT_SECONDS * 1000)
    directory = stack.enter_context(environment.scratch())
    place = stack.enter_context(environment.place(server, "", shared=False))
    return stack.enter_context(serving(server, environment.site(place, directory / "server")))


def puts(scratch: Path, files: int) -> list[str]:
    """Each under a temporary name, with its time, and renamed."""
    lines = []
    for number in range(files):
        lines += [f"put -p {scratch / 'file'} f{number}.partial", f"rename f{number}.partial f{number}"]
    return lines


def gets(scratch: Path, files: int) -> list[str]:
    return [f"get f{number} {scratch / 'got'}" for number in range(files)]


def doing(work: Callable[[Path, int], list[str]], files: int, scratch: Path) -> Callable[[Serving], None]:
    """What a client of OpenSSH does in a turn."""

    def turn(server: Serving) -> None:
        openssh.sftp(server, [[f"cd {server.remote('')}", *work(scratch, files)]], scratch, _TIMEOUT)

    return turn


if __name__ == "__main__":
    main()
