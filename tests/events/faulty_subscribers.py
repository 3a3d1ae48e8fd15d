"""Subscribers with manners and vices, and what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from s3sftp.backends import Backend, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.events import Committed, EventHub
from s3sftp.fs import FileOptions, FileSystem, Mounts, OpenStorage, VirtualPath, WriteMode


@dataclass
class Ear:
    """Keeps what it hears; `failures` are raised first, `gate` is waited for."""

    failures: list[BaseException] = field(default_factory=list)
    gate: asyncio.Event | None = None
    heard: list[Committed] = field(default_factory=list)
    calls: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def hear(self, event: Committed) -> None:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
            self.heard.append(event)
        finally:
            self.at_once -= 1

    @property
    def paths(self) -> list[str]:
        return [event.path for event in self.heard]


@asynccontextmanager
async def volume_with(events: EventHub, backend: Backend | None = None) -> AsyncIterator[FileSystem]:
    """What one user sees of a storage of whose commits `events` tells."""
    volume = OpenStorage(backend or MemoryBackend(), FileOptions(), None, events)
    await volume.start()
    events.start()
    try:
        yield FileSystem(volume, Mounts.of("alice/"), Session("alice", session_id="s.1"))
    finally:
        await events.stop()
        await volume.stop()


async def put(files: FileSystem, name: str, data: bytes = b"x") -> None:
    writer = await files.open_writer(VirtualPath.parse(name.encode()), WriteMode(truncate=True))
    await writer.write(0, data)
    await writer.close()


async def until(condition: object, what: str = "it") -> None:
    """Wait for a condition that is a function."""
    assert callable(condition)
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
