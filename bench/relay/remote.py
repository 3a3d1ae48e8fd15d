"""The benchmark's handle on a relay process."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.relay.connection import Shape
from testbed.processes import Process


@dataclass(frozen=True)
class Traffic:
    """What went through a relay."""

    requests: dict[str, int]
    """By API; none where the bytes are opaque."""
    connections: int
    """That were open at some time."""
    sent: int
    """Bytes to S3, heads included."""
    received: int
    cpu_seconds: float


class Relay:
    """A relay in front of a port of this machine; ends with the block."""

    def __init__(self, upstream_port: int, shape: Shape, log: Path) -> None:
        words = ("--upstream", upstream_port, "--latency", shape.latency)
        rate = ("--bytes-per-second", shape.bytes_per_second)
        unread = ("--opaque",) if shape.opaque else ()
        command = [sys.executable, "-m", "bench.relay.shaper", *map(str, (*words, *rate, *unread))]
        log.unlink(missing_ok=True)
        self._process = Process(command, log)

    def __enter__(self) -> Relay:
        try:
            self._process.wait_ready(lambda: self._process.output().endswith("}\n"))
            ports: dict[str, int] = json.loads(self._process.output())
            self.port = ports["port"]
            self._control = socket.create_connection(("127.0.0.1", ports["control"]), timeout=10)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.kill()

    def reset(self) -> None:
        """Count from zero."""
        self._ask(b"reset\n")

    def traffic(self) -> Traffic:
        return Traffic(**self._ask(b"report\n"))

    def _ask(self, question: bytes) -> Any:
        self._control.sendall(question)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._control.recv(1 << 16)
        return json.loads(answer)
