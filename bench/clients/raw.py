"""An SFTP client that pipelines as it likes: packets made beforehand, OpenSSH's ssh does the cryptography.

Blocking, and cheap: what it measures is the server.
"""

from __future__ import annotations

import math
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.clients.openssh import options
from bench.failures import Failed
from bench.serving import Serving
from testbed.packets import (
    ATTRS,
    CLOSE,
    DATA,
    EOF,
    HANDLE,
    INIT,
    LSTAT,
    NAME,
    NO_ATTRIBUTES,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    REALPATH,
    STATUS,
    R,
    packet,
    read_string,
    string,
    u32,
    u64,
)
from testbed.processes import program

FIRST_READ_BYTES = 32 << 10


class RawClient:
    """One SFTP session. Failed when the server ends it or answers with what was not asked for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._send(packet(INIT, u32(3)))
        self._receive()

    def first_byte(self, path: str) -> float:
        """Seconds from sending OPEN to having the answer of the first READ."""
        started = time.monotonic()
        handle = self._handle(OPEN, string(path.encode()) + u32(R) + NO_ATTRIBUTES)
        self._ask(READ, string(handle) + u64(0) + u32(FIRST_READ_BYTES), DATA)
        seconds = time.monotonic() - started
        self._ask(CLOSE, string(handle), STATUS)
        return seconds

    def real_path(self, path: str) -> float:
        """Seconds until the answer to a REALPATH."""
        started = time.monotonic()
        self._ask(REALPATH, string(path.encode()), NAME)
        return time.monotonic() - started

    def list(self, path: str, limit: float = math.inf) -> tuple[int, float, float]:
        """How many names, seconds to the first of them, seconds to the last; one READDIR at a time.

        After `limit` seconds no more are asked for.
        """
        started = time.monotonic()
        handle = self._handle(OPENDIR, string(path.encode()))
        count, first = 0, 0.0
        while time.monotonic() - started < limit or not first:
            names = self._names(handle)
            if not names:
                break
            count += names
            first = first or time.monotonic() - started
        seconds = time.monotonic() - started
        self._ask(CLOSE, string(handle), STATUS)
        return count, first, seconds

    def lstat_all(self, paths: Sequence[str]) -> float:
        """Seconds for LSTATs of all paths, sent without waiting for answers."""
        requests = b"".join(packet(LSTAT, string(path.encode()), index) for index, path in enumerate(paths))
        started = time.monotonic()
        sender = threading.Thread(target=self._send, args=(requests,))
        sender.start()
        for _ in paths:
            kind, body = self._receive()
            _must(kind == ATTRS, kind, body)
        sender.join()
        return time.monotonic() - started

    def _names(self, handle: bytes) -> int:
        """How many names the next READDIR brings; 0 at the end."""
        kind, body = self._request(READDIR, string(handle))
        (number,) = struct.unpack_from(">I", body)
        _must(kind == NAME or (kind == STATUS and number == EOF), kind, body)
        return int(number) if kind == NAME else 0

    def _handle(self, kind: int, body: bytes) -> bytes:
        return read_string(self._ask(kind, body, HANDLE), 0)[0]

    def _ask(self, kind: int, body: bytes, wanted: int) -> bytes:
        answer, content = self._request(kind, body)
        _must(answer == wanted, answer, content)
        return content

    def _request(self, kind: int, body: bytes) -> tuple[int, bytes]:
        self._send(packet(kind, body, 1))
        return self._receive()

    def _send(self, data: bytes) -> None:
        try:
            self._in.write(data)
            self._in.flush()
        except OSError as error:
            raise Failed("the server ended the session") from error

    def _receive(self) -> tuple[int, bytes]:
        (length,) = struct.unpack(">I", self._exactly(4))
        data = self._exactly(length)
        return data[0], data[5:]

    def _exactly(self, amount: int) -> bytes:
        data = self._out.read(amount)
        if len(data) < amount:
            raise Failed("the server ended the session, or took too long")
        return data


@contextmanager
def raw_client(serving: Serving, log: Path, timeout: float) -> Iterator[RawClient]:
    """A session that lasts as long as the block, `timeout` seconds at most."""
    command = [program("ssh") or "ssh", *options(serving), "-s", serving.host, "sftp"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        yield RawClient(process)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _must(condition: bool, kind: int, body: bytes) -> None:
    if not condition:
        raise Failed(f"the server answered with a packet of type {kind}: {body[:200]!r}")
