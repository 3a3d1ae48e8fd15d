"""`s3sftp serve` as a process: configured, started, killed, started again on the same state directory."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import argon2
import asyncssh

from testbed.processes import Process, wait_until
from testbed.s3_store import Store

USER = "alice"
PASSWORD = "correct horse"
PART_BYTES = 5 << 20
"""Part size of every server of the tests, S3's smallest."""

Groups = Mapping[str, Mapping[str, object]]


class Server:
    """A server for one user, alice, with a key and a password, whose files are below `alice/` in a bucket.

    `options` are added to the configuration file, group by group, and win over what stands here; one that is
    None is left out. The level of the log is the default, `info`: at `debug` READs take another path.
    `under` is a command that the server is run by, such as `env`.
    """

    def __init__(
        self,
        directory: Path,
        store: Store,
        bucket: str,
        options: Groups | None = None,
        under: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.store = store
        self.bucket = bucket
        self.host = "127.0.0.1"
        self.port = 0
        self.user = USER
        self.password = PASSWORD
        self.prefix = f"{USER}/"
        self.key_file = directory / "alice_ed25519"
        self.known_hosts = directory / "known_hosts"
        self.config_file = directory / "s3sftp.toml"
        self.process: Process | None = None
        self._under = under
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._write_files(options or {})

    @property
    def fingerprint(self) -> str:
        """Of the host key, `SHA256:…`."""
        return self._host_key.get_fingerprint()

    def start(self) -> Server:
        """Start it and block until it listens. Not while its S3 is a proxy on this thread's event loop."""
        self._spawn()
        self._await_port()
        return self

    async def astart(self) -> Server:
        """Start it; the event loop goes on meanwhile."""
        self._spawn()
        await asyncio.to_thread(self._await_port)
        return self

    async def restart(self) -> Server:
        """Stop it and start it on the same state directory; the port may be another."""
        await asyncio.to_thread(self.close)
        return await self.astart()

    def terminate(self) -> None:
        """SIGTERM."""
        self._running().send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._running().kill()

    async def ended(self, timeout: float = 40) -> int:
        """Wait for its end; the exit status."""
        return await asyncio.to_thread(self._running().wait, timeout)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()

    def output(self) -> str:
        return self.process.output() if self.process else ""

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """The log so far, of all starts: every event, or those with one name."""
        whole = self.output().rpartition("\n")[0]  # the last line may be in the middle of being written
        lines = (line for line in whole.splitlines() if line.startswith("{"))
        return [event for event in map(json.loads, lines) if name in ("", event.get("event"))]

    def count(self, event: str) -> int:
        """How often an event was logged, by all starts together."""
        return self.output().count(f'"event": "{event}"')

    async def until(self, condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
        """Wait for something that the log tells."""
        await asyncio.to_thread(wait_until, condition, timeout, what)

    def _running(self) -> Process:
        assert self.process is not None, "the server was not started"
        return self.process

    def _spawn(self) -> None:
        command = [*self._under, sys.executable, "-m", "s3sftp", "serve", "--config", str(self.config_file)]
        self._earlier = len(self.events("server.listening")) if self.process else 0
        self.process = Process(command, self.directory / "server.log")

    def _await_port(self) -> None:
        self._running().wait_ready(lambda: len(self.events("server.listening")) > self._earlier, timeout=60)
        self.port = int(self.events("server.listening")[-1]["port"])
        public = self._host_key.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {public}\n")

    def _write_files(self, options: Groups) -> None:
        user_key = asyncssh.generate_private_key("ssh-ed25519")
        user_key.write_private_key(str(self.key_file))
        host_key_file = self.directory / "host_ed25519"
        self._host_key.write_private_key(str(host_key_file))
        for file in (self.key_file, host_key_file):
            file.chmod(0o600)
        groups: dict[str, dict[str, object]] = {
            "listen": {"host": self.host, "port": 0},
            "ssh": {"host_keys": [str(host_key_file)]},
            "auth": {"ban_failures": 0},
            f"users.{USER}": {
                # as cheap as Argon2 can be: the cost of a login is not what these tests are about
                "password_hash": argon2.PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD),
                "authorized_keys": [user_key.export_public_key().decode().strip()],
                "prefix": self.prefix,
            },
            "s3": {
                "bucket": self.bucket,
                "endpoint_url": self.store.endpoint_url,
                "region": self.store.region,
                "addressing": "path",
                "access_key_id": self.store.access_key,
                "secret_access_key": self.store.secret_key,
                "part_bytes": PART_BYTES,
                **self.store.options,
            },
            "log": {"format": "json"},
            # one process, whose memory and log are the server's; tests/workers has more
            "server": {"state_dir": str(self.directory / "state"), "workers": 1},
        }
        for name, values in options.items():
            groups.setdefault(name, {}).update(values)
        self.config_file.write_text("\n".join(_toml_group(name, values) for name, values in groups.items()))


def _toml_group(name: str, values: Mapping[str, object]) -> str:
    # JSON's texts, numbers, booleans and lists are TOML's too.
    lines = "".join(
        f"{option} = {json.dumps(value)}\n" for option, value in values.items() if value is not None
    )
    return f"[{name}]\n{lines}"
