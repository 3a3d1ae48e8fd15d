"""`python -m bench.tracing`: what tracing costs the server, off and on.

Off: a span that is off is measured by itself and multiplied by how many there are in a GiB that an OpenSSH
client gets: too little to be seen in the CPU time of the server, whose noise is larger.

On: the CPU time of the whole server for the same work, without tracing and with spans exported by OTLP over
HTTP to a collector that forgets them: those that a server exports by default, and every one. The servers take
turns; the minimum of all runs counts, because other work on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.comparison import measured, scale_of
from bench.environment import BenchEnvironment
from bench.peers.peer import Command, Site
from bench.peers.s3sftp import S3Sftp
from bench.sizes import QUICK, changed
from bench.work import works
from s3sftp.telemetry import is_tracing, span

_COUNT = 200_000
_ROUNDS = 5
_READ_BYTES = 255 << 10
"""OpenSSH's, as limits@openssh.com allows."""
_RANGE_BYTES = 8 << 20
_SETTLE_SECONDS = 1.0
_WORKS = "small-put,small-get,put,get"


class Traced(S3Sftp):
    """With spans exported, or none.

    `mode` is `off`, `default`, or `tracing.reads_and_writes`, a colon, and which part of the traces is
    sampled. Spans are exported every `export_milliseconds`, more often than by default, so that a short run
    has all of them.
    """

    def __init__(self, mode: str, endpoint: str, export_milliseconds: int = 300) -> None:
        super().__init__(workers=1)
        self.name = mode
        self._variables = {"OTEL_SDK_DISABLED": "true"}
        if mode != "off":
            self._variables = {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": str(export_milliseconds),
            }
        if mode not in ("off", "default"):
            folding, _, ratio = mode.partition(":")
            self._variables |= {
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": ratio or "1",
                "S3SFTP_TRACING__READS_AND_WRITES": folding,
            }

    def command(self, site: Site) -> Command:
        command = super().command(site)
        return Command(command.words, {**command.environment, **self._variables})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tracing", description="What tracing costs.")
    parser.add_argument("--only", default=_WORKS, help="works, by comma; empty: none, only spans while off")
    parser.add_argument(
        "--modes", default="default,folded,folded:0", help="by comma, such as each, folded:0.1"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", default="", help="such as stream=256MiB,files=1000")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    if is_tracing():
        raise SystemExit("tracing is on: unset OTEL_…")
    _print_off()
    if not words.only:
        return
    sizes = changed(QUICK, words.sizes)
    chosen = [work for name, work in works(sizes).items() if name in words.only.split(",")]
    with BenchEnvironment(words.scratch, sizes) as environment, collector() as endpoint:
        servers = [Traced(mode, endpoint) for mode in ("off", *words.modes.split(","))]
        for work in chosen:
            found = measured(environment, work, environment.store, servers, words.runs, _SETTLE_SECONDS)
            scale, unit = scale_of(work.name, sizes)
            least = {name: min(seconds) * scale for name, seconds in found.items()}
            more = "".join(
                f"  {name} {value:6.2f} ({value / least['off'] - 1:+.1%})"
                for name, value in least.items()
                if name != "off"
            )
            runs = "; ".join(
                f"{name} {' '.join(f'{each * scale:.2f}' for each in seconds)}"
                for name, seconds in found.items()
            )
            print(f"{work.name:10} {unit:13} off {least['off']:6.2f}{more}   ({runs})", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


def _print_off() -> None:
    seconds = statistics.median(_round(spans=True) - _round(spans=False) for _ in range(_ROUNDS))
    spans = (1 << 30) // _READ_BYTES + (1 << 30) // _RANGE_BYTES
    print(f"a span that is off: {seconds * 1e9:.0f} ns")
    print(f"READs and requests in a GiB: {spans}, a span for each: {seconds * spans * 1000:.2f} ms of CPU")


def _round(*, spans: bool) -> float:
    """CPU seconds for one turn, with a span in it or without."""
    began = time.process_time()
    if spans:
        for _ in range(_COUNT):
            with span("sftp.READ"):
                pass
    else:
        for _ in range(_COUNT):
            pass
    return (time.process_time() - began) / _COUNT


@contextmanager
def collector() -> Iterator[str]:
    """The URL of a collector that takes spans and forgets them, in this process."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, as those of a real one

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    main()
