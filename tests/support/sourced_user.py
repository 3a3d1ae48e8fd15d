"""A user whom another source than the configuration has, as real clients know the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.embedding.password_clients import openssh, paramiko_sftp
from tests.support.clients import Clients
from tests.support.s3_client import S3
from tests.support.server import Server

PASSWORD = "Password1234"
QUICK = {"retries": 0, "timeout": "3 s", "max_failures": 2, "probe_interval": "0.3 s"}
"""Options with which a source is soon down, and soon up again."""


@dataclass
class Bob:
    """The user, as OpenSSH knows the server."""

    host: str
    port: int
    key_file: Path
    known_hosts: Path
    fingerprint: str
    user: str = "bob"
    password: str = PASSWORD

    @classmethod
    def of(cls, server: Server, key: asyncssh.SSHKey, directory: Path) -> Bob:
        """Bob with this key, whose file is in the directory."""
        file = directory / "bob_ed25519"
        key.write_private_key(str(file))
        file.chmod(0o600)
        return cls(server.host, server.port, file, server.known_hosts, server.fingerprint)


async def logged_in(server: Server, user: str = "bob") -> asyncssh.SSHClientConnection:
    """A connection by password."""
    return await asyncssh.connect(
        server.host,
        server.port,
        username=user,
        password=PASSWORD,
        client_keys=None,
        known_hosts=str(server.known_hosts),
        config=None,
    )


async def store_by_password_and_by_key(bob: Bob, clients: Clients, s3: S3, directory: Path) -> None:
    """OpenSSH stores a file by each method, and paramiko finds both, below `partners/bob/`."""
    local = directory / "local"
    local.write_bytes(b"hello")
    (await openssh(bob.port, f"put {local} /by-password", user="bob", password=PASSWORD)).ok()
    (await clients.sftp(f"put {local} /by-key")).ok()

    def by_paramiko() -> list[str]:
        with paramiko_sftp(bob.port, "bob", PASSWORD) as sftp:
            return sorted(sftp.listdir("/"))

    def by_paramiko_s_key() -> bytes:
        with paramiko_sftp(bob.port, "bob", None, bob.key_file) as sftp, sftp.open("/by-key") as file:
            return file.read()

    assert await asyncio.to_thread(by_paramiko) == ["by-key", "by-password"]
    assert await asyncio.to_thread(by_paramiko_s_key) == b"hello"
    assert await s3.keys() == ["partners/bob/by-key", "partners/bob/by-password"]


async def require_refused(bob: Bob, clients: Clients) -> None:
    """Neither wrong passwords, nor another name, nor another key logs in."""
    for user, password in (("bob", "wrong"), ("bob", ""), ("eve", PASSWORD)):
        assert (await openssh(bob.port, "ls", user=user, password=password)).status != 0
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(bob.key_file))
    assert (await clients.sftp("ls")).status != 0
