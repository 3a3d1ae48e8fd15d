"""The relay process: `python -m bench.relay.shaper --upstream PORT`, with `--latency`, `--bytes-per-second`.

It prints `{"port": …, "control": …}` when it listens. Each line sent to the control port is answered by one
of JSON: the requests so far by API, and the processor seconds that the relay itself has used. `reset` forgets
them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from collections import Counter

from bench.relay.connection import RelayedConnection, Shape

LOOPBACK = "127.0.0.1"


class Shaper:
    """Accepts connections and counts what goes through them."""

    def __init__(self, upstream_port: int, shape: Shape) -> None:
        self._upstream = (LOOPBACK, upstream_port)
        self._shape = shape
        self._requests: Counter[str] = Counter()
        self._cpu_before = time.process_time()
        self._links: set[RelayedConnection] = set()

    async def serve(self) -> None:
        """Listen until the process is ended."""
        listener = socket.create_server((LOOPBACK, 0), backlog=512)
        listener.setblocking(False)
        control = await asyncio.start_server(self._answer, LOOPBACK, 0)
        ports = {"port": listener.getsockname()[1], "control": control.sockets[0].getsockname()[1]}
        print(json.dumps(ports), flush=True)
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            await self._link(client)

    async def _link(self, client: socket.socket) -> None:
        upstream = socket.socket()
        upstream.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(upstream, self._upstream)
        except OSError:
            client.close()
            upstream.close()
            return
        for each in (client, upstream):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = RelayedConnection(client, upstream, self._shape, self._count, self._links.discard)
        self._links.add(link)
        link.start()

    def _count(self, api: str) -> None:
        self._requests[api] += 1

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            report = {"requests": dict(self._requests), "cpu_seconds": time.process_time() - self._cpu_before}
            if line.strip() == b"reset":
                self._requests.clear()
                self._cpu_before = time.process_time()
            writer.write(json.dumps(report).encode() + b"\n")
            await writer.drain()
        writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--bytes-per-second", type=float, default=0.0)
    words = parser.parse_args()
    asyncio.run(Shaper(words.upstream, Shape(words.latency, words.bytes_per_second)).serve())


if __name__ == "__main__":
    main()
