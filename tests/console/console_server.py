"""A server with two workers and an API, on SeaweedFS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

from testbed.processes import free_port, wait_until
from testbed.s3_store import Store, new_bucket_name
from tests.admin.admin_client import ask
from tests.support.commands import installed
from tests.support.server import Groups, Server

TOKEN = "operators-0123456789abcdef0123456789abcdef"
GUESSES = 5
"""Points that ban a source."""


class ConsoleServer(Server):
    """A server whose admin port stays the same when it is started again."""

    def __init__(self, directory: Path, store: Store, bucket: str, options: Groups | None = None) -> None:
        self.token_file = directory / "tokens"
        self.admin_port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        self.token_file.write_text(f"ops {TOKEN}\n")
        ours: Groups = {
            "admin": {"port": self.admin_port, "token_file": str(self.token_file)},
            "auth": {"ban_failures": GUESSES, "refusal_time": 0.01},
            "server": {"workers": 2, "drain_timeout": "5 s"},
        }
        super().__init__(directory, store, bucket, {**ours, **(options or {})})

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def where(self) -> list[str]:
        """The flags by which commands find it."""
        return ["--url", self.admin_url, "--token-file", str(self.token_file)]

    async def api(self, path: str) -> Any:
        """What the API says."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = await ask(self.admin_port, f"/api/v1/{path}", headers=headers)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json

    async def connect(self, source: str = "127.0.0.1", **more: Any) -> asyncssh.SSHClientConnection:
        """A connection from a source, by alice's key or as `more` says."""
        login: dict[str, Any] = {"username": self.user, "client_keys": [str(self.key_file)]}
        return await asyncssh.connect(
            self.host,
            self.port,
            local_addr=(source, 0),
            known_hosts=str(self.known_hosts),
            config=None,
            agent_path=None,
            **login | more,
        )

    def slow_upload(self, file: Path, batch: Path, kilobits: int) -> list[str]:
        """OpenSSH's client, which uploads a file to `/slow.bin` at a limited rate."""
        batch.write_text(f"put {file} /slow.bin\n")
        return [
            *(installed("sftp"), "-F", "none", "-o", "BatchMode=yes", "-o", "IdentityAgent=none"),
            *("-o", f"UserKnownHostsFile={self.known_hosts}", "-i", str(self.key_file)),
            *("-l", str(kilobits), "-b", str(batch), "-P", str(self.port), f"{self.user}@{self.host}"),
        ]


@contextmanager
def console_server(directory: Path, store: Store, options: Groups | None = None) -> Iterator[ConsoleServer]:
    """A server that is ready, on a bucket of its own. What goes wrong in it unexpectedly fails the test."""
    bucket = new_bucket_name()
    store.make_bucket(bucket)
    server = ConsoleServer(directory, store, bucket, options)
    try:
        server.start()
        wait_until(lambda: bool(server.events("server.started")), 60, "the server to be started")
        yield server
        assert "Traceback" not in server.output()
    finally:
        server.close()
        store.drop_bucket(bucket)
