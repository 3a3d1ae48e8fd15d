"""A listener in this process, with real users, real SFTP sessions and a storage in memory behind it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import asyncssh

from s3sftp import backends
from s3sftp.auth import AuthOptions, ConfiguredUsers, Identity, UserOptions, read_authorities, read_logins
from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions, FileSystem, Mounts, OpenStorage
from s3sftp.sftp import SftpOptions, SftpSession
from s3sftp.ssh import Listener, ListenOptions, SshOptions
from tests.support.logs import Level, capture_events

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
ALICES_KEY = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "correct horse"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=1024)
USERS = {
    "alice": UserOptions(
        password_hash=CHEAP.hash(PASSWORD),
        authorized_keys=(ALICES_KEY.export_public_key().decode(),),
    ),
    "bob": UserOptions(password_hash=CHEAP.hash(PASSWORD)),
}


@dataclass
class ListenerHarness:
    """What a test sees of the listener."""

    listener: Listener
    storage: MemoryBackend
    events: list[Mapping[str, Any]]
    users: ConfiguredUsers
    sessions: list[SftpSession] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.listener.port

    async def connect(
        self, user: str = "alice", password: str | None = PASSWORD, source: str = "127.0.0.1", **options: Any
    ) -> asyncssh.SSHClientConnection:
        """Log in; by password by default."""
        options = {"client_keys": None, "preferred_auth": "password", "known_hosts": None} | options
        return await asyncssh.connect(
            "127.0.0.1",
            self.port,
            username=user,
            password=password,
            config=None,
            agent_path=None,
            local_addr=(source, 0),
            login_timeout=20,
            **options,
        )

    async def socket(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect without saying anything."""
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    def logged(self, event: str) -> list[Mapping[str, Any]]:
        """The log events with this name so far."""
        return [entry for entry in self.events if entry["event"] == event]

    async def empties(self) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(20):
            while self.listener.connections:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listener_harness(
    ssh: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
    users: Mapping[str, UserOptions] = USERS,
    host_keys: tuple[asyncssh.SSHKey, ...] = (HOST_KEY,),
    storage: MemoryBackend | None = None,
    sftp: Mapping[str, Any] | None = None,
    listen: Mapping[str, Any] | None = None,
    log_level: Level | None = None,
) -> AsyncIterator[ListenerHarness]:
    """Run a listener; options that are not given have their defaults, `log.level` among them."""
    auth_options = AuthOptions(**(auth or {}))
    known = ConfiguredUsers(
        read_logins(users, authorities=read_authorities(auth_options)).accounts, auth_options
    )
    storage = storage or MemoryBackend()
    volume = OpenStorage(storage, FileOptions())
    await volume.start()
    sessions: list[SftpSession] = []
    sftp_options = SftpOptions(**(sftp or {}))

    def open_session(identity: Identity, session: backends.Session) -> SftpSession:
        files = FileSystem(volume, Mounts.of(identity.prefix, read_only=identity.read_only), session)
        sessions.append(SftpSession(files, sftp_options))
        return sessions[-1]

    listener = Listener(
        ListenOptions(**({"host": "127.0.0.1", "port": 0} | dict(listen or {}))),
        SshOptions(**(ssh or {})),
        auth_options,
        known,
        host_keys,
        open_session,
        sessions_idle=sftp_options.idle_timeout,
    )
    with capture_events(log_level) as events:
        await listener.start()
        try:
            yield ListenerHarness(listener, storage, events, known, sessions)
        finally:
            await listener.stop()
            await volume.stop()
            known.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def kexinit_lists(packet: bytes) -> list[list[str]]:
    """The ten name-lists of a KEXINIT packet, as it is on the wire (RFC 4253, 6 and 7.1)."""
    assert packet[5] == 20
    at, lists = 6 + 16, []
    for _ in range(10):
        length = int.from_bytes(packet[at : at + 4], "big")
        lists.append(packet[at + 4 : at + 4 + length].decode().split(","))
        at += 4 + length
    return lists


async def read_kexinit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Exchange versions and read the server's KEXINIT."""
    writer.write(b"SSH-2.0-test\r\n")
    assert (await reader.readline()).startswith(b"SSH-2.0-")
    header = await reader.readexactly(4)
    return header + await reader.readexactly(int.from_bytes(header, "big"))


async def closed_by_server(reader: asyncio.StreamReader, timeout: float = 20) -> bool:
    """Read until the server closes; False if it does not within the time."""
    try:
        async with asyncio.timeout(timeout):
            while await reader.read(65536):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset, so that thousands of sockets do not linger."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it may be closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.close()


def write_key(key: asyncssh.SSHKey, file: Path) -> Path:
    """A private key file as clients want it."""
    key.write_private_key(str(file))
    file.chmod(0o600)
    return file
