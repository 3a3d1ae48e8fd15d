"""Drivers of real SFTP clients, each as a user would start it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import asyncssh
import paramiko
import pytest

from tests.support.commands import Result, Running, installed, run


def quoted(name: str | bytes) -> bytes:
    """A name as one word of a batch file of OpenSSH's sftp or of lftp, glob characters included."""
    raw = os.fsencode(name)
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Known(Protocol):
    """A server as its users know it."""

    host: str
    port: int
    user: str
    password: str
    key_file: Path
    known_hosts: Path

    @property
    def fingerprint(self) -> str: ...


class Clients:
    """Clients of one server. `home` is theirs: no file of the real user is read or written."""

    def __init__(self, server: Known, home: Path) -> None:
        self._server = server
        self._home = home
        self._scripts = 0
        home.mkdir(parents=True, exist_ok=True)

    @property
    def _ssh_options(self) -> list[str]:
        server = self._server
        options = {
            "IdentityFile": server.key_file,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": server.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        return [
            "-F",
            "none",
            *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        ]

    @property
    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self._home), "LC_ALL": "C.UTF-8"}

    def _script(self, lines: tuple[str | bytes, ...]) -> Path:
        self._scripts += 1
        script = self._home / f"script-{self._scripts}"
        script.write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))
        return script

    # OpenSSH

    async def start_sftp(self, *lines: str | bytes, options: tuple[str, ...] = ()) -> Running:
        """OpenSSH's sftp on a batch file; it stops at the first line that fails."""
        server = self._server
        command = [
            installed("sftp"),
            *self._ssh_options,
            "-P",
            str(server.port),
            *options,
            "-b",
            str(self._script(lines)),
            f"{server.user}@{server.host}",
        ]
        return await Running.start(command, self._environment)

    async def sftp(self, *lines: str | bytes, options: tuple[str, ...] = (), timeout: float = 60) -> Result:
        async with await self.start_sftp(*lines, options=options) as running:
            return await running.result(timeout)

    def remote(self, path: str) -> str:
        """A remote path as scp wants it."""
        return f"{self._server.user}@{self._server.host}:{path}"

    async def start_scp(self, *words: str) -> Running:
        command = [installed("scp"), *self._ssh_options, "-P", str(self._server.port), *words]
        return await Running.start(command, self._environment)

    async def scp(self, *words: str, timeout: float = 60) -> Result:
        async with await self.start_scp(*words) as running:
            return await running.result(timeout)

    # lftp

    async def start_lftp(self, *lines: str | bytes, password: bool = False) -> Running:
        """lftp, by key or by password. It fails when the last line does; `cmd:fail-exit` makes it any."""
        server = self._server
        ssh = " ".join(["ssh", "-a", "-x", *self._ssh_options])
        if password:
            ssh = (
                f"ssh -a -x -F none -o UserKnownHostsFile={server.known_hosts} -o StrictHostKeyChecking=yes"
                " -o PubkeyAuthentication=no -o IdentityAgent=none"
            )
        secret = server.password if password else "unused"
        script = self._script(
            (
                "set cmd:fail-exit true",
                f'set sftp:connect-program "{ssh}"',
                "set net:max-retries 2",
                "set net:timeout 20",
                "set net:reconnect-interval-base 1",
                f'open -p {server.port} -u {server.user},"{secret}" sftp://{server.host}',
                *lines,
            )
        )
        command = [installed("lftp"), "--norc", "-f", str(script)]
        return await Running.start(command, self._environment)

    async def lftp(self, *lines: str | bytes, password: bool = False, timeout: float = 60) -> Result:
        async with await self.start_lftp(*lines, password=password) as running:
            return await running.result(timeout)

    # rclone

    async def start_rclone(self, *words: str, program: str) -> Running:
        """rclone; the server is the remote `alice:`."""
        server = self._server
        remote = {
            "TYPE": "sftp",
            "HOST": server.host,
            "PORT": str(server.port),
            "USER": server.user,
            "KEY_FILE": str(server.key_file),
            "KNOWN_HOSTS_FILE": str(server.known_hosts),
        }
        environment = {
            **self._environment,
            **{f"RCLONE_CONFIG_ALICE_{name}": value for name, value in remote.items()},
            "RCLONE_CONFIG": str(self._home / "rclone.conf"),
            "RCLONE_LOW_LEVEL_RETRIES": "3",
            "RCLONE_RETRIES": "2",
        }
        return await Running.start([program, *words], environment)

    async def rclone(self, *words: str, program: str, timeout: float = 60) -> Result:
        async with await self.start_rclone(*words, program=program) as running:
            return await running.result(timeout)

    # PuTTY

    async def psftp(self, *lines: str, timeout: float = 60) -> Result:
        """PuTTY's psftp, by password; it stops at the first line that fails."""
        server = self._server
        command = [
            installed("psftp"),
            "-batch",
            "-P",
            str(server.port),
            "-pw",
            server.password,
            "-hostkey",
            server.fingerprint,
            "-b",
            str(self._script(lines)),
            f"{server.user}@{server.host}",
        ]
        return await run(command, self._environment, timeout)

    # sshfs

    @asynccontextmanager
    async def sshfs(self, remote: str, mountpoint: Path, *words: str) -> AsyncIterator[Path]:
        """A directory of the server, mounted."""
        server = self._server
        program = installed("sshfs")
        _require_fuse()
        mountpoint.mkdir()
        command = [
            program,
            *self._ssh_options,
            "-f",
            "-p",
            str(server.port),
            f"{server.user}@{server.host}:{remote}",
            str(mountpoint),
            *words,
        ]
        async with await Running.start(command, self._environment) as running:
            try:
                async with asyncio.timeout(20):
                    while not await asyncio.to_thread(os.path.ismount, mountpoint):  # may ask the server
                        if not running.running:
                            pytest.fail(f"sshfs: {(await running.result()).text}")
                        await asyncio.sleep(0.05)
                yield mountpoint
            finally:
                await run([installed("fusermount3"), "-u", "-z", str(mountpoint)])
                with contextlib.suppress(AssertionError):
                    await running.result(10)

    # asyncssh

    @asynccontextmanager
    async def asyncssh(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection for clients that do as they like: broken off at the end of the block."""
        server = self._server
        connection = await asyncssh.connect(
            server.host,
            server.port,
            username=server.user,
            client_keys=[str(server.key_file)],
            known_hosts=str(server.known_hosts),
            config=None,
        )
        try:
            yield connection
        finally:
            connection.abort()
            with contextlib.suppress(Exception):
                await connection.wait_closed()

    # paramiko

    @contextlib.contextmanager
    def paramiko(self):  # type: ignore[no-untyped-def]
        """A paramiko.SFTPClient, by password. Blocking: use it in a thread."""
        server = self._server
        with paramiko.SSHClient() as client:
            client.load_host_keys(str(server.known_hosts))
            client.connect(
                server.host,
                server.port,
                server.user,
                server.password,
                look_for_keys=False,
                allow_agent=False,
                timeout=20,
            )
            with client.open_sftp() as sftp:
                yield sftp


def _require_fuse() -> None:
    """sshfs alone may be skipped, and only where the kernel does not let it mount."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"SSHFS NOT TESTED: /dev/fuse cannot be opened here ({error.strerror})")
