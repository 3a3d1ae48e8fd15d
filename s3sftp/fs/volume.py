"""One storage, and what all sessions of the process share about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from s3sftp.backends import Backend, Session
from s3sftp.fs.budget import Budget
from s3sftp.fs.filesystem import FileSystem
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.openfiles import OpenWriters
from s3sftp.fs.options import FileOptions
from s3sftp.fs.spool import SpoolRoom
from s3sftp.fs.writing import WriterTools

T = TypeVar("T")


class Volume:
    """The backend, the byte budget, the table of open uploads; sessions enter it through `enter`."""

    def __init__(self, backend: Backend, options: FileOptions) -> None:
        self.backend = backend
        self.options = options
        self.budget = Budget(options.buffer_bytes, options.buffer_wait_seconds)
        self.writers = OpenWriters(options.max_uploads_per_user)
        self.tools = WriterTools(
            backend, options, self.budget, SpoolRoom(options.spool_dir, options.spool_bytes)
        )
        self.ignored: Counter[str] = Counter()
        """Attributes that clients wanted to set and the storage has no place for, by name."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        await self.backend.start()

    async def stop(self) -> None:
        """Wait for what sessions left to clean up, then stop the backend."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.backend.stop()

    def enter(self, mounts: Mounts, session: Session) -> FileSystem:
        """What one session sees."""
        return FileSystem(self, mounts, session)

    def adopt(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that must end even though the session that began it has gone; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
