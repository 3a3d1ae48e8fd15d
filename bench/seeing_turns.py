"""`python -m bench.seeing_turns`: what events and the admin API cost for small files, on a busy machine.

Three servers run side by side, and an OpenSSH client puts files of 10 KB on them in turns: one without
events, one that announces every upload to a webhook, and one whose API is asked once a second for all that
the console and `s3sftp top` show. Other work slows down all of them alike, so the ratio of two turns that
follow each other says more than CPU times of different minutes do. The first turns do not count.

The requests to S3 are those that the servers count themselves, those of the outbox among them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.clients import openssh
from bench.environment import BenchEnvironment
from bench.peers.peer import Command, Site
from bench.peers.s3sftp import S3Sftp
from bench.serving import Serving, serving
from bench.sizes import QUICK
from bench.tracing import collector
from bench.turns import cpu_by_turns
from s3sftp.cli.admin_client import AdminClient
from s3sftp.cli.server_snapshot import take_snapshot
from testbed.processes import free_port

_TIMEOUT = 600
_POLL_SECONDS = 1.0
_REST_SECONDS = 5.0
"""After the last turn: the webhook has the last events by then."""
_TOKEN = "benchmark-0123456789abcdef0123456789abcdef"
_REQUESTS = re.compile(r"^s3sftp_s3_requests_total\{.*\} (\S+)$", re.M)


class Seen(S3Sftp):
    """With an admin port, and with more if the options say so."""

    def __init__(self, name: str, hook: str | None = None) -> None:
        super().__init__(workers=1)
        self.name = name
        self.admin_port = free_port()
        self._hook = hook

    def command(self, site: Site) -> Command:
        command = super().command(site)
        tokens = site.directory / "tokens"
        tokens.write_text(f"bench {_TOKEN}\n")
        more = {"S3SFTP_ADMIN__PORT": str(self.admin_port), "S3SFTP_ADMIN__TOKEN_FILE": str(tokens)}
        if self._hook is not None:
            more["S3SFTP_EVENTS__SINKS"] = json.dumps({"hook": {"type": "webhook", "url": self._hook}})
        return Command(command.words, {**command.environment, **more})

    def requests(self) -> float:
        """How many requests to S3 the server has sent since its start."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=60) as answer:
            return sum(map(float, _REQUESTS.findall(answer.read().decode())))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ask for everything, again and again, as consoles do."""
        ended = threading.Event()
        client = AdminClient("127.0.0.1", self.admin_port, _TOKEN)

        def ask() -> None:
            while not ended.wait(_POLL_SECONDS):
                take_snapshot(client)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.seeing_turns", description="What events and the admin API cost."
    )
    parser.add_argument("--turns", type=int, default=9, help="of each server")
    parser.add_argument("--files", type=int, default=200, help="in a turn")
    parser.add_argument("--quick", action="store_true", help="two turns of ten files: whether it runs")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    turns, files = (2, 10) if words.quick else (words.turns, words.files)
    with ExitStack() as stack:
        environment = stack.enter_context(BenchEnvironment(words.scratch, QUICK))
        hook = stack.enter_context(collector())
        scratch = stack.enter_context(environment.scratch())
        (scratch / "file").write_bytes(os.urandom(10_000))
        peers = [Seen("off"), Seen("events", hook), Seen("console")]
        servers = [_started(stack, environment, each) for each in peers]
        puts = _putting(files, scratch)

        def work(server: Serving) -> None:
            with peers[2].watched() if server is servers[2] else ExitStack():
                puts(server)

        before = [each.requests() for each in peers]
        took = cpu_by_turns(servers, work, turns, _REST_SECONDS)
        sent = [each.requests() - since for each, since in zip(peers, before, strict=True)]
    print("| 10 KB put by OpenSSH | CPU ms a file | median of the ratios to off | S3 requests a file |")
    print("|---|--:|--:|--:|")
    for peer, seconds, requests in zip(peers, took, sent, strict=True):
        ratio = statistics.median(on / off for on, off in zip(seconds, took[0], strict=True))
        cpu = sum(seconds) / turns / files * 1000
        # the first turn, which does not count for the CPU, has requests too
        print(f"| {peer.name} | {cpu:.3f} | {ratio - 1:+.1%} | {requests / (turns + 1) / files:.2f} |")
    print(f"{turns} turns of {files} files, load average {os.getloadavg()[0]:.1f}")


def _started(stack: ExitStack, environment: BenchEnvironment, peer: Seen) -> Serving:
    directory = stack.enter_context(environment.scratch())
    place = stack.enter_context(environment.place(peer, "", shared=False))
    return stack.enter_context(serving(peer, environment.site(place, directory / "server")))


def _putting(files: int, scratch: Path) -> Callable[[Serving], None]:
    lines = [f"put {scratch / 'file'} f{number}" for number in range(files)]

    def puts(server: Serving) -> None:
        openssh.sftp(server, [[f"cd {server.remote('')}", *lines]], scratch, _TIMEOUT)

    return puts


if __name__ == "__main__":
    main()
