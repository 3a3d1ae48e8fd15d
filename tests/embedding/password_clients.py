"""Real clients that log in by password, and what servers here are made of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from s3sftp import Server, StaticUsers
from s3sftp.backends.memory import MemoryBackend
from testbed.processes import program
from tests.support.commands import Result, run

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "correct horse"


def server_of(backend: Any = None, **options: Any) -> Server:
    """A server on a free port whose only user is alice, unless told otherwise."""
    defaults = {"auth": StaticUsers({"alice": PASSWORD}), "host_keys": [HOST_KEY], "port": 0}
    return Server(backend=MemoryBackend() if backend is None else backend, **(defaults | options))


async def openssh(port: int, *lines: str, user: str = "alice", password: str = PASSWORD) -> Result:
    """OpenSSH's sftp; it stops at the first line that fails."""
    sftp = program("sftp")
    if sftp is None:
        pytest.fail("OpenSSH's sftp is not installed, so nothing is known about it")
    with tempfile.TemporaryDirectory() as home:
        script, askpass = Path(home, "batch"), Path(home, "askpass")
        script.write_text("\n".join(lines) + "\n")
        askpass.write_text('#!/bin/sh\nprintf "%s\\n" "$GUESTS_PASSWORD"\n')
        askpass.chmod(0o700)
        options = {
            "BatchMode": "no",  # before -b, which would say yes: the password comes from askpass
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "PreferredAuthentications": "password",
            "NumberOfPasswordPrompts": "1",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command = [sftp, "-F", "none", *words, "-P", str(port), "-b", str(script), f"{user}@127.0.0.1"]
        environment = {
            "SSH_ASKPASS": str(askpass),
            "SSH_ASKPASS_REQUIRE": "force",
            "GUESTS_PASSWORD": password,
            "HOME": home,
        }
        return await run(command, environment)


@contextlib.contextmanager
def paramiko_sftp(
    port: int, user: str = "alice", password: str | None = PASSWORD, key_file: Path | None = None
) -> Iterator[paramiko.SFTPClient]:
    """paramiko. Blocking: use it in a thread."""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1",
            port,
            user,
            password,
            key_filename=str(key_file) if key_file else None,
            look_for_keys=False,
            allow_agent=False,
            timeout=20,
        )
        with client.open_sftp() as sftp:
            yield sftp


async def connect(
    port: int, user: str = "alice", password: str | None = PASSWORD, **options: Any
) -> asyncssh.SSHClientConnection:
    """asyncssh, for clients that do as they like."""
    options = {"client_keys": None, "preferred_auth": "password"} | options
    return await asyncssh.connect(
        "127.0.0.1",
        port,
        username=user,
        password=password,
        known_hosts=None,
        config=None,
        agent_path=None,
        **options,
    )


def write(local: Path, data: bytes) -> Path:
    local.write_bytes(data)
    return local


def is_open(port: int) -> bool:
    """Whether anybody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


async def is_closed_soon(port: int) -> bool:
    for _ in range(100):
        if not await asyncio.to_thread(is_open, port):
            return True
        await asyncio.sleep(0.01)
    return False


def listening_sockets() -> int:
    """How many sockets of this process listen."""
    inodes = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    listening = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listening += fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes
    return listening
