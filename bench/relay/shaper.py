"""The relay process: `python -m bench.relay.shaper --upstream PORT`, with `--latency`, `--bytes-per-second`,
`--opaque`.

It prints `{"port": …, "control": …}` when it listens. Each line sent to the control port is answered by one
of JSON: so far, the requests by API, the connections, the bytes to S3 and from it, and the processor seconds
that the relay itself has used. `reset` forgets them, except connections that are still open.
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
        self._connections = 0
        self._ended = (0, 0)
        """Bytes of the connections that have ended."""
        self._moved_before = (0, 0)

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
        link = RelayedConnection(client, upstream, self._shape, self._count, self._end)
        self._links.add(link)
        self._connections += 1
        link.start()

    def _count(self, api: str) -> None:
        self._requests[api] += 1

    def _end(self, link: RelayedConnection) -> None:
        if link in self._links:  # either direction may say so
            self._links.remove(link)
            self._ended = _sum(self._ended, link.moved)

    def _report(self) -> dict[str, object]:
        up, down = self._moved()
        return {
            "requests": dict(self._requests),
            "connections": self._connections,
            "sent": up - self._moved_before[0],
            "received": down - self._moved_before[1],
            "cpu_seconds": time.process_time() - self._cpu_before,
        }

    def _moved(self) -> tuple[int, int]:
        return _sum(self._ended, *(link.moved for link in self._links))

    def _reset(self) -> None:
        self._requests.clear()
        self._connections = len(self._links)
        self._moved_before = self._moved()
        self._cpu_before = time.process_time()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            report = self._report()
            if line.strip() == b"reset":
                self._reset()
            writer.write(json.dumps(report).encode() + b"\n")
            await writer.drain()
        writer.close()


def _sum(*pairs: tuple[int, int]) -> tuple[int, int]:
    return sum(up for up, _ in pairs), sum(down for _, down in pairs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--bytes-per-second", type=float, default=0.0)
    parser.add_argument("--opaque", action="store_true")
    words = parser.parse_args()
    shape = Shape(words.latency, words.bytes_per_second, words.opaque)
    asyncio.run(Shaper(words.upstream, shape).serve())


if __name__ == "__main__":
    main()
