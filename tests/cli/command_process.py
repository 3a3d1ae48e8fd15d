"""The command as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import paramiko

from testbed.processes import Process, wait_until
from tests.support.commands import installed


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without options of ours, of AWS or of OpenTelemetry."""
    mine = {
        name: value for name, value in os.environ.items() if not name.startswith(("S3SFTP_", "AWS_", "OTEL_"))
    }
    return mine | more


def s3sftp(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "s3sftp", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(**environ),
        check=False,
    )


class Running:
    """`s3sftp serve` or `s3sftp demo` while it runs."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def events(self, name: str) -> list[dict[str, Any]]:
        # the last line may be in the middle of being written
        whole = self.process.output().rpartition("\n")[0]
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def wait_event(self, name: str, timeout: float = 30) -> dict[str, Any]:
        self.process.wait_ready(lambda: bool(self.events(name)), timeout)
        return self.events(name)[-1]

    @property
    def port(self) -> int:
        return int(self.wait_event("server.listening")["port"])


@contextmanager
def running(*arguments: str, directory: Path, **environ: str) -> Iterator[Running]:
    """Start a command in the background; ends with it killed if it has not ended."""
    command = [sys.executable, "-m", "s3sftp", *arguments]
    log = directory / f"log-{len(list(directory.glob('log-*')))}"  # of this start alone
    process = Process(command, log, env=clean_environment(**environ))
    try:
        yield Running(process)
    finally:
        process.kill()


@contextmanager
def serving_from_memory(directory: Path, *arguments: str, **environ: str) -> Iterator[Running]:
    """A server with a storage in memory and one user, alice, whose private key is `directory/key`."""
    key = directory / "key"
    if not key.exists():
        write_key_pair(key)
    flags = [
        "--backend",
        "memory",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--state-dir",
        str(directory / "state"),
    ]
    user = ["--user", "alice", "--authorized-keys", f"{key}.pub"]
    with running("serve", *flags, *user, *arguments, directory=directory, **environ) as server:
        server.wait_event("server.started")
        yield server


def write_key_pair(file: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(file))
    file.chmod(0o600)
    key.write_public_key(f"{file}.pub")


def sftp_command(port: int, key: Path, *, user: str = "alice", known_hosts: str = "/dev/null") -> list[str]:
    checking = "no" if known_hosts == "/dev/null" else "yes"
    return [
        *("sftp", "-F", "none", "-P", str(port), "-i", str(key), "-o", "IdentityAgent=none"),
        *("-o", f"UserKnownHostsFile={known_hosts}", "-o", f"StrictHostKeyChecking={checking}"),
        *("-o", "BatchMode=yes", "-b", "-", f"{user}@127.0.0.1"),
    ]


def scp(port: int, key: Path, source: str, target: str) -> subprocess.CompletedProcess[str]:
    """OpenSSH's scp; what is remote begins with `alice@127.0.0.1:`."""
    options = ["-F", "none", "-P", str(port), "-i", str(key), "-o", "IdentityAgent=none"]
    options += ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"]
    command = [installed("scp"), *options, source, target]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def paramiko_on(port: int, key: Path) -> Iterator[paramiko.SFTPClient]:
    """paramiko, by a connection of its own."""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1", port, "alice", key_filename=str(key), look_for_keys=False, allow_agent=False
        )
        with client.open_sftp() as sftp:
            yield sftp


def batch(command: Sequence[str], lines: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run sftp with a batch of commands."""
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=seconds, check=False)


def toml(groups: Mapping[str, Mapping[str, object]]) -> str:
    return "\n".join(
        f"[{name}]\n" + "".join(f"{option} = {json.dumps(value)}\n" for option, value in values.items())
        for name, values in groups.items()
    )


__all__ = [
    "Running",
    "batch",
    "running",
    "s3sftp",
    "serving_from_memory",
    "sftp_command",
    "toml",
    "wait_until",
    "write_key_pair",
]
