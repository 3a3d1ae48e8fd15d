"""A small fsx: random reads, writes, truncations and reopenings of one file, against bytes in memory."""

from __future__ import annotations

import random
from dataclasses import dataclass

from testbed.packets import CREAT, OP_UNSUPPORTED, TRUNC, R, Refused, W
from testbed.raw_client import RawSftpClient

MOST_BYTES = 3000
PATH = b"/fsx"


@dataclass
class Exercise:
    """One client at work on one file."""

    client: RawSftpClient
    random: random.Random
    content: bytearray
    handle: bytes = b""
    keeps_old: bool = False
    """It was opened without TRUNC."""

    async def run(self, steps: int) -> bytes:
        """Work, close the file, and return what it must hold."""
        self.handle = await self.client.open(PATH, R | W | CREAT | TRUNC)
        todo = [self.write, self.write, self.append, self.read, self.read, self.truncate, self.look]
        for _ in range(steps):
            await self.random.choice(todo)()
            if self.random.random() < 0.05:
                await self.reopen()
        await self.client.close(self.handle)
        return bytes(self.content)

    async def write(self) -> None:
        await self._write(self.random.randrange(MOST_BYTES), self.random.randrange(1, 400))

    async def append(self) -> None:
        if len(self.content) < MOST_BYTES:
            await self._write(len(self.content), self.random.randrange(1, 400))

    async def _write(self, offset: int, size: int) -> None:
        data = self.random.randbytes(size)
        if offset > len(self.content):
            self.content.extend(bytes(offset - len(self.content)))
        self.content[offset : offset + size] = data
        await self.client.write(self.handle, offset, data)

    async def read(self) -> None:
        """What is kept of the old file inside the storage cannot be read back, and is said to be so."""
        offset, size = self.random.randrange(MOST_BYTES), self.random.randrange(1, 600)
        try:
            data = await self.client.read(self.handle, offset, size)
        except Refused as refused:
            assert refused.code == OP_UNSUPPORTED
            assert self.keeps_old
        else:
            assert data == self.content[offset : offset + size]

    async def truncate(self) -> None:
        size = self.random.randrange(MOST_BYTES)
        await self.client.truncate(self.handle, size)
        del self.content[size:]
        self.content.extend(bytes(size - len(self.content)))

    async def look(self) -> None:
        assert (await self.client.fstat(self.handle)).size == len(self.content)

    async def reopen(self) -> None:
        """Close, compare what is stored, and go on without TRUNC."""
        await self.client.close(self.handle)
        assert (await self.client.stat(PATH)).size == len(self.content)
        assert await self.client.get(PATH, block=500) == self.content
        self.handle = await self.client.open(PATH, R | W)
        self.keeps_old = True
