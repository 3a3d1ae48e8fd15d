"""What the times of files cost a listing: `python -m tests.limits.listings --names 10000`.

On a SeaweedFS whose answers come `--latency` seconds later, a server with two workers lists files that others
have put: for the first time, again, by the other worker, and with `s3.times = "stored"`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.packets import EOF, NAME, READDIR, string
from testbed.raw_client import RawSftpClient, wire
from testbed.s3_store import Store, new_bucket_name
from testbed.seaweed import running_seaweed
from tests.limits.operations import connect, shown
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import s3_client
from tests.support.server import Server


@dataclass(frozen=True)
class Listed:
    """One listing, in seconds from OPENDIR."""

    first_names: float
    whole: float
    requests: dict[str, int]


async def listed(client: RawSftpClient, proxy: FaultProxy) -> Listed:
    proxy.log.clear()
    began, first = time.monotonic(), 0.0
    handle = await client.opendir(b"/d")
    while (reply := await client.request(READDIR, string(handle))).code != EOF:
        reply.must_be(NAME)
        first = first or time.monotonic() - began
    whole = time.monotonic() - began
    await client.close(handle)
    return Listed(first, whole, dict(proxy.log.by_api()))


async def measured(store: Store, bucket: str, times: str, latency: float) -> list[Listed]:
    """The listings of two workers, one after the other, twice each."""
    async with FaultProxy(store.endpoint_url) as proxy:
        with tempfile.TemporaryDirectory() as directory:
            options = {"server": {"workers": 2}, "s3": {"times": times, "max_connections": 200}}
            server = Server(Path(directory), store.behind(proxy.url), bucket, options)
            try:
                await server.astart()
                await server.until(lambda: bool(server.events("server.started")), "the workers to be ready")
                proxy.latency = latency
                async with (
                    await connect(server) as one,
                    await connect(server) as other,
                    wire(one) as client,
                    wire(other) as another,
                ):
                    return [await listed(each, proxy) for each in (client, client, another)]
            finally:
                await asyncio.to_thread(server.close)


async def print_table(names: int, latency: float) -> None:
    with running_seaweed() as store:
        bucket = new_bucket_name()
        store.make_bucket(bucket)
        async with s3_client(store, bucket) as s3:
            gate = asyncio.Semaphore(32)

            async def put(number: int) -> None:
                async with gate:
                    metadata = {"mtime": str(1_600_000_000 + number)}
                    await s3.put(f"alice/d/{number:07}", b"x", Metadata=metadata)

            await asyncio.gather(*map(put, range(names)))
        await asyncio.sleep(3)
        kept = await measured(store, bucket, "kept", latency)
        stored = await measured(store, bucket, "stored", latency)
    load = os.getloadavg()[0]
    print(f"{names} names, {latency * 1000:.0f} ms to S3, load average {load:.1f}\n")
    print("| listing | first names (s) | whole (s) | requests to S3 |\n|---|---|---|---|")
    rows = ("the first", "the second", "the first of another worker")
    for what, each in [*zip(rows, kept, strict=True), ('the first, `s3.times = "stored"`', stored[0])]:
        print(f"| {what} | {each.first_names:.2f} | {each.whole:.2f} | {shown(each.requests)} |")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--names", type=int, default=10_000)
    words.add_argument("--latency", type=float, default=0.02)
    chosen = words.parse_args()
    asyncio.run(print_table(chosen.names, chosen.latency))
