"""Two servers on one bucket, and the line to one of them, which can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from testbed.s3_store import Store
from tests.support.client_workspace import ClientWorkspace
from tests.support.clients import Clients
from tests.support.cut_line import CutLine
from tests.support.s3_client import S3
from tests.support.server import USER, Groups, Server


class Scene:
    """Two servers on one bucket, and the line to one of them."""

    def __init__(self, servers: list[Server], line: CutLine, desk: ClientWorkspace) -> None:
        self.servers = servers
        self._ports = [server.port for server in servers]
        self.line = line
        self.desk = desk
        self._fix_port()

    def lead_to(self, server: Server) -> None:
        """Let the connections to come reach this server."""
        self.line.target = (server.host, self._ports[self.servers.index(server)])

    async def restart(self, server: Server) -> None:
        """Start a server again that has ended. The line leads to it."""
        await server.restart()
        self._ports[self.servers.index(server)] = server.port
        self._fix_port()
        self.lead_to(server)

    async def size(self) -> int | None:
        """What STAT says of the file, which no listing shows."""
        self.line.cut_at(None)
        async with self.desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
            assert [name for name in await sftp.listdir(self.desk.remote) if name not in (".", "..")] == []
            try:
                return (await sftp.stat(f"{self.desk.remote}/x")).size
            except asyncssh.SFTPNoSuchFile:
                return None

    async def parts_are_stored(self, count: int) -> None:
        """Wait until the bucket has so many parts of the upload."""
        s3, found = self.desk.s3, 0
        while found < count:
            for key, upload_id in await s3.multipart_uploads():
                listed = await s3.client.list_parts(Bucket=s3.bucket, Key=key, UploadId=upload_id)
                found = len(listed.get("Parts", ()))
            await asyncio.sleep(0.05)

    async def nothing_is_published(self) -> None:
        """Fails if the bucket or the log of a server shows a file."""
        assert await self.desk.keys() in ([], [""])
        assert not any(server.events("upload.committed") for server in self.servers)

    async def nothing_hidden_is_left(self) -> None:
        """Fails if the bucket still has anything of an upload that was kept."""
        assert await self.desk.uploads() == []
        hidden = await self.desk.s3.keys(".s3sftp/")
        assert not [key for key in hidden if "/kept/" in key]

    def _fix_port(self) -> None:
        """Show the clients, who know the first server only, the line in its place."""
        one = self.servers[0]
        key = one.known_hosts.read_text().partition(" ")[2]
        one.known_hosts.write_text(f"[{one.host}]:{self.line.port} {key}")
        one.port = self.line.port


@asynccontextmanager
async def cut_scene(
    store: Store, bucket: str, s3: S3, directory: Path, options: Groups, for_other: Groups | None = None
) -> AsyncIterator[Scene]:
    """A scene whose line leads to the first server. `for_other`: further options of the other."""
    one = Server(directory / "one", store, bucket, options)
    public = asyncssh.read_private_key(one.key_file).export_public_key().decode().strip()
    same: dict[str, dict[str, object]] = {
        **{name: dict(values) for name, values in options.items()},
        **{name: dict(values) for name, values in (for_other or {}).items()},
        "ssh": {"host_keys": [str(directory / "one/host_ed25519")]},
        f"users.{USER}": {"authorized_keys": [public]},
    }
    other = Server(directory / "other", store, bucket, same)
    try:
        await asyncio.gather(one.astart(), other.astart())
        async with CutLine(one.host, one.port) as line:
            local = directory / "local"
            local.mkdir()
            scene = Scene(
                [one, other], line, ClientWorkspace(one, local, s3, Clients(one, directory / "home"))
            )
            async with scene.desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
                await sftp.makedirs(scene.desk.remote, exist_ok=True)
            yield scene
    finally:
        for server in (one, other):
            await asyncio.to_thread(server.close)
