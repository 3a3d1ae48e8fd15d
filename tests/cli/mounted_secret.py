"""A Secret or ConfigMap as Kubernetes mounts it, and a server whose users are in one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko

from testbed.processes import wait_until
from tests.cli.command_process import Running, batch, running, sftp_command, toml, write_key_pair

SOON = "200 ms"
"""How often the servers of these tests look."""


class Mounted:
    """A directory that changes as kubelet changes one: all files at once, by a link that is swapped.

    alice.toml ─► ..data/alice.toml       ..data ─► ..2026_1
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._version = 0
        directory.mkdir()

    def write(self, files: Mapping[str, str]) -> None:
        """Have these files, and no others, in the order of kubelet's AtomicWriter."""
        self._version += 1
        before = self.directory / f"..2026_{self._version - 1}"
        new = self.directory / f"..2026_{self._version}"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text)
        (self.directory / "..data_tmp").symlink_to(new.name)
        os.rename(self.directory / "..data_tmp", self.directory / "..data")
        for name in files:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        for link in self.directory.iterdir():
            if not link.name.startswith(".") and link.name not in files:
                link.unlink()
        if before.exists():
            shutil.rmtree(before)


class Partners:
    """A server whose users are in a mounted directory, each in a file, with a key of their own."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.directory = directory
        self.users = Mounted(directory / "users")
        self.config = directory / "s3sftp.toml"
        self.files = directory / "files"
        self.files.mkdir()
        self.options: dict[str, dict[str, object]] = {
            "local": {"root": str(self.files)},
            "listen": {"host": "127.0.0.1", "port": 0},
            "auth": {"users_dir": str(self.users.directory), "ban_failures": 0, "refusal_time": 0},
            "log": {"level": "debug"},
            "server": {
                "workers": workers,
                "state_dir": str(directory / "state"),
                "reload_interval": SOON,
                "drain_timeout": "5 s",
            },
        }
        self._server: Running | None = None

    @property
    def server(self) -> Running:
        assert self._server is not None
        return self._server

    def key(self, name: str) -> Path:
        """The private key of a user, made when it is first asked for."""
        file = self.directory / f"key-{name}"
        if not file.exists():
            write_key_pair(file)
        return file

    def table(self, name: str, **options: object) -> str:
        """A user as TOML."""
        return toml({f"users.{name}": {"authorized_keys": [self.public(name).strip()], **options}})

    def public(self, name: str) -> str:
        """The public key of a user, as a line."""
        return Path(f"{self.key(name)}.pub").read_text()

    def mount(self, *names: str, **more: str) -> None:
        """Have these users; `more` are other files by their names without `.toml`."""
        files = {name: self.table(name) for name in names} | more
        self.users.write({f"{name}.toml": text for name, text in files.items()})

    def configure(self, **groups: Mapping[str, object]) -> None:
        """Write the configuration file, as an editor does: a new file in the place of the old one."""
        for name, values in groups.items():
            self.options.setdefault(name, {}).update(values)
        new = self.directory / "s3sftp.toml.new"
        new.write_text("backend = 'local'\n" + toml(self.options))
        new.rename(self.config)

    @contextmanager
    def serving(self) -> Iterator[None]:
        self.configure()
        with running("serve", "--config", str(self.config), directory=self.directory) as server:
            self._server = server
            server.wait_event("server.started")
            yield
            assert "Traceback" not in server.process.output()

    def attach(self, server: Running) -> None:
        """Use a server that somebody else has started."""
        self._server = server

    @contextmanager
    def session(self, name: str) -> Iterator[paramiko.SFTPClient]:
        """paramiko as this user, by a connection of its own."""
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(
                "127.0.0.1",
                self.server.port,
                name,
                key_filename=str(self.key(name)),
                look_for_keys=False,
                allow_agent=False,
            )
            with client.open_sftp() as sftp:
                yield sftp

    def sftp(self, name: str, lines: str = "pwd\n", key: str = "") -> subprocess.CompletedProcess[str]:
        """OpenSSH's sftp as this user."""
        return batch(sftp_command(self.server.port, self.key(key or name), user=name), lines)

    def gets_in(self, name: str, key: str = "") -> bool:
        done = self.sftp(name, key=key)
        assert done.returncode == 0 or "Permission denied (publickey" in done.stderr, done.stderr
        return done.returncode == 0

    def hang_up(self) -> None:
        """SIGHUP to the server's process."""
        self.server.process.send(signal.SIGHUP)

    def until(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until something was logged so often; the latest."""
        wait_until(lambda: len(self.server.events(event)) >= count, 30, f"{count} × {event}")
        return self.server.events(event)[count - 1]

    def until_reloaded(self, count: int = 1) -> dict[str, Any]:
        return self.until("config.reloaded", count)


def shown(event: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says, without what all of them say."""
    common = ("timestamp", "level", "logger", "event")
    return {name: value for name, value in event.items() if name not in common}


__all__ = ["Mounted", "Partners", "shown"]
