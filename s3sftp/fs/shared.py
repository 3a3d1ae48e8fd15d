"""What all sessions of the process share about one storage."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from s3sftp.backends import Backend
from s3sftp.backends.complete import complete
from s3sftp.backends.spool import SpoolRoom
from s3sftp.counters import Table
from s3sftp.events import Events
from s3sftp.fs.budget import Budget
from s3sftp.fs.changes import ROWS as CHANGE_ROWS
from s3sftp.fs.changes import Changes
from s3sftp.fs.hashing import Hashing
from s3sftp.fs.openfiles import OpenWriter
from s3sftp.fs.options import FileOptions
from s3sftp.fs.spares import Spares
from s3sftp.fs.tally import ROWS as TALLY_ROWS
from s3sftp.fs.tally import Tally
from s3sftp.fs.transit import WriterTools
from s3sftp.fs.uploads import OpenUploads
from s3sftp.telemetry.metrics import Metrics

T = TypeVar("T")

_MOST_SPARE_BYTES = 64 << 20
"""Memory of stored chunks that is kept for the next ones, beside the budget."""


class Shared:
    """The backend, the byte budget, the table of open uploads, and tasks that outlive their session."""

    def __init__(
        self,
        backend: Backend,
        options: FileOptions,
        uploads: Table | None = None,
        events: Events | None = None,
        changes: Table | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Any backend will do: what it lacks is done with a spool. `uploads` is where workers count together
        what their users are writing, and `changes` what they have stored; `events`, who is told of it;
        `metrics`, where all is counted.

        Raises ConfigurationError with all that is wrong with the backend.
        """
        room = SpoolRoom(options.spool_dir, options.spool_bytes)
        self.backend = complete(backend, room)
        self.events = events or Events()
        self.metrics = metrics or Metrics()
        self.options = options
        self.budget = Budget(options.buffer_bytes, options.buffer_wait.total_seconds())
        self.writers: OpenUploads[OpenWriter] = OpenUploads(
            options.max_uploads_per_user,
            Tally(uploads or Table.alone(TALLY_ROWS)),
            Changes(changes or Table.alone(CHANGE_ROWS)),
        )
        self.tools = WriterTools(
            self.backend,
            options,
            self.budget,
            room,
            Spares(min(_MOST_SPARE_BYTES, options.buffer_bytes // 2)),
        )
        self.hashing = Hashing(self.backend, options.max_check_files, options.check_file_timeout)
        self.ignored: Counter[str] = Counter()
        """Attributes that clients wanted to set and the storage has no place for, by name."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def adopt(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that must end even though the session that began it has gone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait_for_adopted(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
