"""What one client does over and over: connect, move files about, check them, leave well or badly."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from s3sftp.testing.storage import data_of
from testbed.packets import CREAT, TRUNC, Refused, W
from testbed.raw_client import RawSftpClient, wire
from tests.sftp.session_server import Serving

SIZES = [0, 1, 1000, 1000, 50_000, 50_000, 400_000, 6 << 20]
BLOCK = 200_000


@dataclass
class Worker:
    """One user, who knows what must be in the user's directory."""

    server: Serving
    number: int
    random: random.Random
    done: Counter[str] = field(default_factory=Counter)
    files: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def directory(self) -> bytes:
        return f"/worker-{self.number}".encode()

    async def work(self, stop: float) -> None:
        """Session after session, at least one, until the loop's clock says `stop`."""
        while True:
            await self.session()
            if asyncio.get_running_loop().time() >= stop:
                return

    async def session(self) -> None:
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(await self.server.connect(f"user{self.number}"))
            client = await stack.enter_async_context(wire(connection))
            for _ in range(self.random.randrange(1, 12)):
                task = self.random.choice(
                    [self.put, self.put, self.get, self.get, self.list, self.move, self.remove]
                )
                await task(client)
                self.done[task.__name__] += 1
            if self.random.random() < 0.3:
                await self.vanish(client)

    async def put(self, client: RawSftpClient) -> None:
        name = self._new_name()
        data = data_of(self.random.choice(SIZES), seed=self.random.randrange(3))
        await client.put(name, data, block=BLOCK)
        self.files[name] = data

    async def get(self, client: RawSftpClient) -> None:
        if self.files:
            name = self.random.choice(list(self.files))
            assert await client.get(name, block=BLOCK) == self.files[name]

    async def list(self, client: RawSftpClient) -> None:
        found = await client.list(self.directory) if self.files else {}
        sizes = {self.directory + b"/" + name: attributes.size for name, attributes in found.items()}
        assert sizes == {name: len(data) for name, data in self.files.items()}

    async def move(self, client: RawSftpClient) -> None:
        if self.files:
            name, new = self.random.choice(list(self.files)), self._new_name()
            try:
                await client.rename(name, new)
            except Refused:
                assert new in self.files
            else:
                self.files[new] = self.files.pop(name)

    async def remove(self, client: RawSftpClient) -> None:
        if self.files:
            name = self.random.choice(list(self.files))
            await client.remove(name)
            del self.files[name]

    async def vanish(self, client: RawSftpClient) -> None:
        """Be gone in the middle of an upload, of a new file or over an old one."""
        handle = await client.open(self._new_name(), W | CREAT | TRUNC)
        for at in range(0, self.random.choice([BLOCK, 7 << 20]), BLOCK):
            client.sending_write(handle, at, bytes(BLOCK))
        await asyncio.sleep(self.random.random() / 10)
        client.connection.abort()
        self.done["vanish"] += 1

    async def clear(self) -> None:
        """Compare once more, and remove everything."""
        async with self.server.client(f"user{self.number}") as client:
            await self.list(client)
            for name in list(self.files):
                assert await client.get(name, block=BLOCK) == self.files[name]
                await client.remove(name)
                del self.files[name]

    def _new_name(self) -> bytes:
        return self.directory + b"/" + str(self.random.randrange(8)).encode()
