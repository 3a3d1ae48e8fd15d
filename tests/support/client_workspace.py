"""A user at work: local files, a remote directory of their own, and a look into the bucket."""

from __future__ import annotations

import hashlib
import random
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.clients import Clients
from tests.support.s3_client import S3
from tests.support.server import Server


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that look random and are the same each time."""
    return random.Random(seed).randbytes(size)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass
class ClientWorkspace:
    """One test's corner of a server: nobody else writes to `remote` or `local`."""

    server: Server
    local: Path
    s3: S3
    clients: Clients
    remote: str = field(default_factory=lambda: f"/desk-{secrets.token_hex(4)}")

    @property
    def key_prefix(self) -> str:
        """Of everything that is in `remote`."""
        below = self.remote.strip("/")
        return f"{self.server.prefix}{below}/" if below else self.server.prefix

    def file(self, name: str | bytes, size: int = 1000, seed: int = 0) -> Path:
        """A new local file."""
        file = self.local / (name if isinstance(name, str) else name.decode(errors="surrogateescape"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(size, seed))
        return file

    async def keys(self) -> list[str]:
        """Keys in the bucket that belong to `remote`, relative to it, markers of directories included."""
        start = len(self.key_prefix)
        return [key[start:] for key in await self.s3.keys(self.key_prefix) if key[start:]]

    async def body(self, name: str) -> bytes:
        return await self.s3.body(self.key_prefix + name)

    async def put(self, name: str, body: bytes) -> None:
        """Put an object where `name` in `remote` is, behind the server's back."""
        await self.s3.put(self.key_prefix + name, body)

    async def uploads(self) -> list[str]:
        """Keys of unfinished multipart uploads below `remote`."""
        return [key for key, _ in await self.s3.multipart_uploads() if key.startswith(self.key_prefix)]
