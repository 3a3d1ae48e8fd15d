"""How far away S3 is."""

from __future__ import annotations

from bench.relay.connection import Shape

SETTINGS = {
    "plain": Shape(),
    "shaped": Shape(latency=0.030, bytes_per_second=80e6),
}

ABOUT = {
    "plain": "SeaweedFS on the same machine, data on a RAM disk, through the relay",
    "shaped": "the shape of real S3: 30 ms more before the first byte of each answer, 80 MB/s per connection",
}
