"""Where S3 is: how far away, and whether TLS is spoken to it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.relay.connection import Shape


@dataclass(frozen=True)
class Setting:
    """The way of a server to S3."""

    about: str
    shape: Shape

    @property
    def tls(self) -> bool:
        return self.shape.opaque


SETTINGS = {
    "plain": Setting("SeaweedFS on the same machine, data on a RAM disk, through the relay", Shape()),
    "shaped": Setting(
        "the shape of real S3: 30 ms more before the first byte of each answer, 80 MB/s per connection",
        Shape(latency=0.030, bytes_per_second=80e6),
    ),
    "tls": Setting(
        "SeaweedFS over TLS on the same machine, data on a RAM disk, through the relay, which cannot read it:"
        " connections and bytes are counted, requests are not",
        Shape(opaque=True),
    ),
}
