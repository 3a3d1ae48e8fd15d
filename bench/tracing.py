"""`python -m bench.tracing`: what the spans of a download cost while nobody traces.

A span that is off is measured by itself and multiplied by how many there are in a GiB that an
OpenSSH client gets: too little to be seen in the CPU time of the server, whose noise is larger.
"""

from __future__ import annotations

import statistics
import time

from s3sftp.telemetry import is_tracing, span

_COUNT = 200_000
_ROUNDS = 5
_READ_BYTES = 255 << 10
"""OpenSSH's, as limits@openssh.com allows."""
_RANGE_BYTES = 8 << 20


def main() -> None:
    if is_tracing():
        raise SystemExit("tracing is on: unset OTEL_…")
    seconds = statistics.median(_round(spans=True) - _round(spans=False) for _ in range(_ROUNDS))
    spans = (1 << 30) // _READ_BYTES + (1 << 30) // _RANGE_BYTES
    print(f"a span that is off: {seconds * 1e9:.0f} ns")
    print(f"spans in a GiB: {spans}, together {seconds * spans * 1000:.2f} ms of CPU")


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


if __name__ == "__main__":
    main()
